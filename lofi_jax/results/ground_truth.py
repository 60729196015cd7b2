"""Prediction files together with the ground truth that they are evaluated against."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lofi_jax import errors
from lofi_jax.data import video_ids
from lofi_jax.data.annotations import activitynet
from lofi_jax.data.annotations.activitynet import Annotations, Video
from lofi_jax.detection.metrics import Instances
from lofi_jax.errors import UserError, first
from lofi_jax.results import predictions
from lofi_jax.results.predictions import Predictions


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """The annotated videos of one subset, unrepaired: the official evaluation counts even segments
    that training repairs.

    Attributes:
        annotated: the whole file.
        subset: its name.
        videos: the subset's, by id; the n-th is video number n.
        classes: their labels, sorted; the n-th is label number n.
    """

    annotated: Annotations
    subset: str
    videos: dict[str, Video]
    classes: tuple[str, ...]

    @functools.cached_property
    def instances(self) -> Instances:
        """The segments to find."""
        return ground_truth(self.videos, self.classes)

    @property
    def durations(self) -> np.ndarray:
        """(videos,) seconds, NaN where the file does not say."""
        return np.array([v.duration or np.nan for v in self.videos.values()], dtype=np.float64)

    def count(self, found: Predictions) -> tuple[Instances, int]:
        """The predictions that count, and the number of classes, including those that only they
        name.

        Videos outside the subset are numbered after those inside: predictions in them are false, as
        in the official evaluation. Labels that the ground truth lacks become classes without ground
        truth, so they count for the recall only.
        """
        videos = (*self.videos, *(key for key in found.video_ids if key not in self.videos))
        classes = (*self.classes, *sorted(set(found.labels) - set(self.classes)))
        return predictions.instances(found, videos, classes), len(classes)


def load(
    ground_truth: str, subset: str, paths: Sequence[str], ignore_other_videos: bool
) -> tuple[Truth, list[Predictions]]:
    """Reads the annotations of a subset and some prediction files, and warns about oddities.

    Args:
        ground_truth, subset, paths: the files, and the subset's name.
        ignore_other_videos: leave out the predictions in videos that are not of the subset.

    Raises:
        UserError: as `load_truth` and `load_predictions`.
    """
    truth = load_truth(ground_truth, subset)
    found = [load_predictions(path, truth) for path in paths]
    errors.warn(_warnings_of_truth(truth))
    for path, one in zip(paths, found, strict=True):
        where = f"{path}: " if len(paths) > 1 else ""
        errors.warn(_warnings_of_predictions(path, truth, one, where, ignore_other_videos))
    if ignore_other_videos:
        found = [predictions.of_videos(one, truth.videos.keys()) for one in found]
    return truth, found


def load_predicted(
    ground_truth: str | os.PathLike, paths: Sequence[str]
) -> tuple[Truth, list[Predictions]]:
    """As `load`, with those annotated videos that any of the files names, of whatever subset.

    Raises:
        UserError: as `activitynet.load` and `predictions.load`; no video in common, or none with
            segments.
    """
    annotated = activitynet.load(ground_truth, repair=False)
    found = [predictions.load(path) for path in paths]
    named = {key for one in found for key in one.video_ids}
    videos = {key: video for key, video in annotated.videos.items() if key in named}
    labels = {label for video in videos.values() for label in video.labels}
    if not labels:
        raise UserError(
            f"{first(paths)}: no annotated video in common with {ground_truth}: "
            f"{found[0].video_ids[0]!r} and others, not {next(iter(annotated.videos))!r}"
        )
    truth = Truth(annotated, "", videos, tuple(sorted(labels)))
    return truth, [predictions.of_videos(one, videos.keys()) for one in found]


def load_truth(path: str | os.PathLike, subset: str) -> Truth:
    """Reads the annotations of a subset.

    Raises:
        UserError: as `activitynet.load`; no such subset, or one without segments.
    """
    annotated = activitynet.load(path, repair=False)
    videos = annotated.subset(subset)
    labels = {label for video in videos.values() for label in video.labels}
    if not labels:
        raise UserError(f"{path}: subset {subset!r} has no segments to find")
    return Truth(annotated, subset, videos, tuple(sorted(labels)))


def load_predictions(path: str | os.PathLike, truth: Truth) -> Predictions:
    """Reads predictions of some of the videos, under the ids of the annotations.

    Raises:
        UserError: as `predictions.load`; no video in common.
    """
    found = predictions.load(path)
    ids = video_ids.aligned(found.video_ids, truth.videos)
    found = dataclasses.replace(found, video_ids=ids)
    if truth.videos.keys().isdisjoint(found.video_ids):
        raise UserError(
            f"{path}: no video in common with subset {truth.subset!r} of {truth.annotated.path}: "
            f"{found.video_ids[0]!r} and others, not {next(iter(truth.videos))!r}"
        )
    return found


def _warnings_of_truth(truth: Truth) -> Iterator[str]:
    """Warnings about the annotations, one line each."""
    repeated = truth.annotated.problems.get(activitynet.DUPLICATE)
    if repeated:
        yield f"{truth.annotated.path}: {len(repeated)} {activitynet.DUPLICATE}: {first(repeated)}"
    empty = [
        f"{key}[{index}]"
        for key, video in truth.videos.items()
        for index in np.flatnonzero(video.segments[:, 1] <= video.segments[:, 0])
    ]
    if empty:
        yield f"{len(empty)} segments of the ground truth with end <= start: {first(empty)}: missed"


def _warnings_of_predictions(
    path: str, truth: Truth, found: Predictions, where: str, ignore_other_videos: bool
) -> Iterator[str]:
    """Warnings about the predictions, one line each, beginning with `where`."""
    if found.duplicates:
        count = f"{len(found.duplicates)} {activitynet.DUPLICATE}"
        yield f"{path}: {count}: {first(found.duplicates)}"
    counts = np.bincount(found.video, minlength=len(found.video_ids))
    outside = {
        key: count
        for key, count in zip(found.video_ids, counts, strict=True)
        if key not in truth.videos
    }
    if outside:
        fate = (
            "left out"
            if ignore_other_videos
            else f"their {sum(outside.values())} predictions count as false positives, as in the"
            " official evaluation; --ignore_other_videos leaves them out"
        )
        videos = first(tuple(outside))
        yield f"{where}{len(outside)} predicted videos are not in the subset: {videos}: {fate}"
    predicted = {key for key, count in zip(found.video_ids, counts, strict=True) if count}
    silent = [key for key in truth.videos if key not in predicted]
    if silent:
        yield f"{where}{len(silent)} videos have no predictions: {first(silent)}: all missed"
    backward = int((found.segment[:, 1] < found.segment[:, 0]).sum())
    if backward:
        yield f"{where}{backward} predictions end before they start: they match nothing"
    used = np.bincount(found.label, minlength=len(found.labels))
    unknown = {
        repr(label): count
        for label, count in zip(found.labels, used, strict=True)
        if label not in truth.classes
    }
    if unknown:
        total = sum(unknown.values())
        yield (
            f"{where}{total} predictions have labels that the ground truth lacks: "
            f"{first(tuple(unknown))}: left out of the mAP"
        )


def ground_truth(videos: Mapping[str, Video], classes: Sequence[str]) -> Instances:
    """The segments of `videos` for the metrics.

    Args:
        videos: by id; the n-th is video number n.
        classes: names by label number, holding every label of `videos`.
    """
    number = {name: index for index, name in enumerate(classes)}
    counts = [len(video.labels) for video in videos.values()]
    segments = [video.segments for video in videos.values()]
    labels = [number[name] for video in videos.values() for name in video.labels]
    return Instances(
        video=np.repeat(np.arange(len(videos)), counts),
        label=np.array(labels, dtype=np.int64),
        segment=np.concatenate([np.zeros((0, 2)), *segments]),
        score=np.ones(len(labels)),
    )
