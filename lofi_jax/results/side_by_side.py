"""Several systems' detections beside the ground truth, each judged: what the viewer shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.detection import diagnosis, metrics
from lofi_jax.detection.false_positives import TYPES, false_positive_types
from lofi_jax.detection.matching import Instances, match, ranked
from lofi_jax.results.ground_truth import Truth
from lofi_jax.results.predictions import Predictions, of_videos


def judged(truth: Truth, systems: Mapping[str, Predictions], tious: np.ndarray) -> dict[str, Any]:
    """The videos of the ground truth with every system's detections, each of a type.

    Args:
        truth: the annotated videos; predictions in others are left out.
        systems: predictions by the system's name.
        tious: (K,) thresholds; types are given at each, precisions are means over them.

    Returns:
        {"tious": ["0.50", ...], "types": TYPES, "classes": [name], "instances": [number a class],
        "systems": [{"name", "average_mAP", "precision": [a class, None without instances]}],
        "videos": [{"id", "duration", "precision": [a system, None without instances],
        "truth": [[start, end, class, found]], "found": [[[start, end, class, score, types]]]}]}.
        Times are in seconds; a class is its place in "classes". `found` has a text per system, with
        a digit per threshold: 1 where a detection matches the instance, else 0. `types` is a text
        with a digit per threshold, a place in `TYPES`. Detections are best first.
    """
    lists = [of_videos(one, truth.videos.keys()) for one in systems.values()]
    classes = sorted({*truth.classes, *(label for one in lists for label in one.labels)})
    place = {name: i for i, name in enumerate(classes)}
    videos = [_of_video(video, place) for video in truth.videos.values()]
    of_systems = []
    for name, found in zip(systems, lists, strict=True):
        counted, count = truth.count(found)
        counted = ranked(counted)
        # The labels by the numbers that the truth gives them here.
        names = (*truth.classes, *sorted(set(found.labels) - set(truth.classes)))
        precision = metrics.average_precision(truth.instances, counted, count, tious).mean(axis=1)
        by_class = dict(zip(names, precision.tolist(), strict=True))
        of_systems.append(
            {
                "name": name,
                "average_mAP": float(np.nanmean(precision)),
                "precision": [_known(by_class.get(label, np.nan)) for label in classes],
            }
        )
        numbers = np.array([place[label] for label in names], int)[counted.label]
        _add_system(videos, truth.instances, counted, count, tious, numbers)
    labels = [place[label] for video in truth.videos.values() for label in video.labels]
    return {
        "tious": [f"{tiou:.2f}" for tiou in tious],
        "types": list(TYPES),
        "classes": classes,
        "instances": np.bincount(labels, minlength=len(classes)).tolist(),
        "systems": of_systems,
        "videos": videos,
    }


def _of_video(video: Video, place: Mapping[str, int]) -> dict[str, Any]:
    """A video as `judged` has it, before any system."""
    truth = [
        [round(start, 3), round(end, 3), place[label], []]
        for (start, end), label in zip(video.segments.tolist(), video.labels, strict=True)
    ]
    known = {"id": video.video_id, "duration": video.duration}
    return {**known, "precision": [], "truth": truth, "found": []}


def _add_system(
    videos: Sequence[dict[str, Any]],
    wanted: Instances,
    found: Instances,
    num_classes: int,
    tious: np.ndarray,
    places: np.ndarray,
) -> None:
    """Adds a system's detections, and what it finds, to the videos.

    Args:
        videos: as `_of_video` has them, the n-th of number n.
        wanted, num_classes, tious: the ground truth, as for `match`.
        found: as `ranked` has them.
        places: (N,) of their classes in the viewer's data.
    """
    matched = match(wanted, found, num_classes, tious)
    hit = np.zeros((len(wanted.label), len(tious)), bool)
    for column, of in enumerate(matched.T):
        hit[of[of >= 0], column] = True
    rows = (row for video in videos for row in video["truth"])
    for row, digits in zip(rows, _digits(hit), strict=True):
        row[3].append(digits)
    types = _digits(false_positive_types(wanted, found, matched, tious))
    lines = _by_video(len(videos), found.video, found.segment, places, found.score, types)
    precision = diagnosis.video_precision(wanted, found, num_classes, tious)
    for i, video in enumerate(videos):
        video["found"].append(lines[i])
        video["precision"].append(_known(precision[i]) if i < len(precision) else None)


def unjudged(systems: Mapping[str, Predictions]) -> dict[str, Any]:
    """As `judged`, of videos that nobody has annotated: no thresholds, precisions or types."""
    classes = sorted({label for one in systems.values() for label in one.labels})
    place = {name: i for i, name in enumerate(classes)}
    ids = list(dict.fromkeys(key for one in systems.values() for key in one.video_ids))
    number = {key: i for i, key in enumerate(ids)}
    lists = []
    for one in systems.values():
        video = np.array([number[key] for key in one.video_ids], int)[one.video]
        labels = np.array([place[label] for label in one.labels], int)[one.label]
        none = [""] * len(one.score)
        lists.append(_by_video(len(ids), video, one.segment, labels, one.score, none))
    unknown = {"duration": None, "precision": [], "truth": None}
    return {
        "tious": [],
        "types": list(TYPES),
        "classes": classes,
        "instances": None,
        "systems": [{"name": name, "average_mAP": None, "precision": []} for name in systems],
        "videos": [
            {"id": key, **unknown, "found": [found[i] for found in lists]}
            for i, key in enumerate(ids)
        ],
    }


def _by_video(
    videos: int,
    video: np.ndarray,
    segment: np.ndarray,
    label: np.ndarray,
    score: np.ndarray,
    types: Sequence[str],
) -> list[list[list]]:
    """Each video's detections, best first: times in whole milliseconds, scores in 4 digits."""
    order = np.lexsort((-score, video))
    lines = [
        [round(start, 3), round(end, 3), number, float(f"{value:.4g}")]
        for (start, end), number, value in zip(
            segment[order].tolist(), label[order].tolist(), score[order].tolist(), strict=True
        )
    ]
    for line, i in zip(lines, order.tolist(), strict=True):
        line.append(types[i])
    edges = np.searchsorted(video[order], np.arange(videos + 1))
    return [lines[low:high] for low, high in zip(edges, edges[1:], strict=False)]


def _digits(table: np.ndarray) -> list[str]:
    """Each row of digits (N, K) as a text."""
    return ["".join(map(str, row)) for row in table.astype(int).tolist()]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
