"""Prediction files in the ActivityNet form: which actions were found in which video.

`{"version": str, "results": {video_id: [{"label": str, "score": number, "segment": [start, end]}]},
"external_data": {}}`, seconds throughout.
"""

import dataclasses
import itertools
import os
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from lofi_jax.detection.metrics import Instances
from lofi_jax.errors import UserError
from lofi_jax.files import MOST, is_number, read_json, write_json
from lofi_jax.results.detections import Detections, by_video


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of many videos in flat arrays, in the file's order.

    Attributes:
        video_ids: every video of the file, those without predictions too.
        video: (N,) int64, index into `video_ids`.
        labels: the class names used, sorted.
        label: (N,) int64, index into `labels`.
        segment: (N, 2) float64, start and end in seconds.
        score: (N,) float64, higher is more confident.
        duplicates: keys that the file holds more than once (the first is kept).
    """

    video_ids: tuple[str, ...]
    video: np.ndarray
    labels: tuple[str, ...]
    label: np.ndarray
    segment: np.ndarray
    score: np.ndarray
    duplicates: tuple[str, ...] = ()

    def of(self, video_id: str) -> list[dict[str, Any]]:
        """A video's entries as the file has them, best first; none for a video that it lacks."""
        at = self.video_ids.index(video_id) if video_id in self.video_ids else -1
        chosen = np.flatnonzero(self.video == at)
        chosen = chosen[np.argsort(-self.score[chosen], kind="stable")]
        names = [self.labels[label] for label in self.label[chosen].tolist()]
        columns = zip(
            names, self.score[chosen].tolist(), self.segment[chosen].tolist(), strict=True
        )
        return [dict(zip(("label", "score", "segment"), row, strict=True)) for row in columns]

    def by_video(self) -> dict[str, Detections]:
        """Each video's detections, in the file's order.

        Raises:
            UserError: a score below 0 or an end before its start, which are only measured.
        """
        videos = [self.video_ids[i] for i in self.video]
        labels = [self.labels[i] for i in self.label.tolist()]
        return by_video(videos, self.segment, labels, self.score, self.video_ids)


def of_detections(found: Mapping[str, Detections]) -> Predictions:
    """The columns of some videos' detections, for the metrics.

    >>> found = {"v1": Detections([[1, 3], [4, 5]], ["run", "jump"], [0.9, 0.5], "v1")}
    >>> instances(of_detections(found), video_ids=["v0", "v1"], classes=["jump", "run"]).label
    array([1, 0])
    """
    segments = [one.segments for one in found.values()]
    scores = [one.scores for one in found.values()]
    names = [label for one in found.values() for label in one.labels]
    labels = tuple(sorted(set(names)))
    return Predictions(
        video_ids=tuple(found),
        video=np.repeat(np.arange(len(found)), np.array([len(one) for one in found.values()], int)),
        labels=labels,
        label=_numbers(names, labels),
        segment=np.concatenate([np.zeros((0, 2)), *segments]),
        score=np.concatenate([np.zeros(0), *scores]),
    )


def load(path: str | os.PathLike) -> Predictions:
    """Reads a prediction file.

    Raises:
        UserError: no file, not JSON, not the ActivityNet form, no videos, or an entry whose label
            is no text, whose score is no number, or whose segment is not two numbers; names the
            video and the entry.
    """
    data, repeated = read_json(path)
    results = data.get("results") if isinstance(data, dict) else None
    if not isinstance(results, dict):
        raise UserError(f"{path}: no 'results' object, so these are not predictions")
    return _flatten(path, results, tuple(repeated))


def save(path: str | os.PathLike, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Writes {video_id: [{"label", "score", "segment"}]} as a prediction file, atomically.

    Raises:
        UserError: the file cannot be written.
        ValueError: a score or time is not finite.
    """
    write_json(path, {"version": "VERSION 1.3", "results": results, "external_data": {}})


def of_videos(predictions: Predictions, video_ids: Container[str]) -> Predictions:
    """The predictions of some of the videos."""
    chosen = np.array([key in video_ids for key in predictions.video_ids], bool)
    kept = chosen[predictions.video]
    return dataclasses.replace(
        predictions,
        video_ids=tuple(itertools.compress(predictions.video_ids, chosen)),
        video=(np.cumsum(chosen) - 1)[predictions.video[kept]],
        label=predictions.label[kept],
        segment=predictions.segment[kept],
        score=predictions.score[kept],
    )


def instances(
    predictions: Predictions, video_ids: Sequence[str], classes: Sequence[str]
) -> Instances:
    """The predictions for the metrics, numbered as the ground truth is.

    Args:
        predictions: of any videos and labels.
        video_ids: ids by video number; predictions of other videos are left out.
        classes: names by label number; predictions of other labels are left out.
    """
    video = _numbers(predictions.video_ids, video_ids)[predictions.video]
    label = _numbers(predictions.labels, classes)[predictions.label]
    known = (video >= 0) & (label >= 0)
    return Instances(
        video[known], label[known], predictions.segment[known], predictions.score[known]
    )


def _numbers(names: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """The index of each name in `known`, -1 if absent."""
    place = {name: index for index, name in enumerate(known)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)


def _flatten(
    where: str | os.PathLike,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    duplicates: tuple[str, ...],
) -> Predictions:
    if not results:
        raise UserError(f"{where}: the results hold no videos")
    # Entries are checked as whole arrays, since there may be half a million. Only if that fails, a
    # slow second pass finds the entry to name.
    try:
        names, score, segment = _columns(results)
    except (KeyError, TypeError, ValueError, OverflowError):
        for video_id, video in results.items():
            _check(where, video_id, video)
        raise
    counts = [len(video) for video in results.values()]
    labels = tuple(sorted(set(names)))
    return Predictions(
        video_ids=tuple(results),
        video=np.repeat(np.arange(len(counts)), counts),
        labels=labels,
        label=_numbers(names, labels),
        segment=segment,
        score=score,
        duplicates=duplicates,
    )


def _columns(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Labels, scores and segments of all entries, or some exception when an entry is bad."""
    entries = [entry for video in results.values() for entry in video]
    names = [entry["label"] for entry in entries]
    score = np.array([entry["score"] for entry in entries])
    segment = np.array([entry["segment"] for entry in entries] or np.zeros((0, 2)))
    if score.dtype.kind not in "iuf" or segment.dtype.kind not in "iuf":
        raise ValueError("an entry holds other than numbers")
    # The absolute value of the least integer would be negative.
    score, segment = score.astype(np.float64), segment.astype(np.float64)
    sound = (
        all(isinstance(video, list | tuple) for video in results.values())
        and all(isinstance(name, str) and name for name in set(names))
        and score.shape == (len(entries),)
        and segment.shape == (len(entries), 2)
        and (np.abs(score) <= MOST).all()
        and (np.abs(segment) <= MOST).all()
        and bool not in {type(entry["score"]) for entry in entries}
        and bool not in {type(time) for entry in entries for time in entry["segment"]}
    )
    if not sound:
        raise ValueError("an entry is bad")
    return names, score, segment


def _check(where: str | os.PathLike, video_id: str, video: Any) -> None:
    """Raises a `UserError` that names the first bad entry."""
    if not isinstance(video, list | tuple):
        raise UserError(f"{where}: video {video_id!r} is not a list of predictions")
    for index, entry in enumerate(video):
        place = f"{where}: video {video_id!r}, entry {index}"
        if not isinstance(entry, Mapping):
            raise UserError(f"{place} is not an object with 'label', 'score' and 'segment'")
        label, score, segment = (entry.get(key) for key in ("label", "score", "segment"))
        if not isinstance(label, str) or not label:
            raise UserError(f"{place}: 'label' is {label!r}, not a class name")
        if not is_number(score):
            raise UserError(f"{place}: 'score' is {score!r}, not a number")
        if not (isinstance(segment, list | tuple | np.ndarray) and len(segment) == 2):
            raise UserError(f"{place}: 'segment' is {segment!r}, not [start, end]")
        if not all(map(is_number, segment)):
            raise UserError(f"{place}: 'segment' is {segment!r}, not two numbers")
