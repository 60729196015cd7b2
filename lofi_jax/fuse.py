"""Fuses prediction files of several systems into one.

python -m lofi_jax.fuse --predictions=one.json,other.json --weights=1,0.8 --output=fused.json

Each file's scores are multiplied by its weight. Then, over all files, the overlapping predictions
of a video are suppressed class by class. With --class_scores the files' labels are ignored: each
segment is one proposal, suppression ignores classes, and an external classifier assigns the labels
from its scores per video, in the CUHK form.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from absl import flags

from lofi_jax import errors
from lofi_jax.bounds import FRACTION, POSITIVE, define_float
from lofi_jax.comma_separated import names
from lofi_jax.data import video_ids
from lofi_jax.detection.nms import METHODS
from lofi_jax.detection.proposals import Proposals, Suppression, suppress, union, with_classes
from lofi_jax.errors import UsageError, UserError, first
from lofi_jax.files import MOST, is_number, try_to_write
from lofi_jax.results import by_ending, class_scores, predictions
from lofi_jax.results.detections import Detections
from lofi_jax.results.predictions import Predictions

_PREDICTIONS = flags.DEFINE_string("predictions", None, "Files, A,B,...", required=True)
_WEIGHTS = flags.DEFINE_string("weights", "", "One number above 0 a file; by default all 1.")
_OUTPUT = flags.DEFINE_string("output", None, "The JSON file to write.", required=True)
_CLASS_SCORES = flags.DEFINE_string("class_scores", "", "Class scores by video, in the CUHK form.")
_TOP_CLASSES = flags.DEFINE_integer("top_classes", 2, "Classes a proposal gets from them.", 1)
_NMS = flags.DEFINE_enum("nms", "gaussian", METHODS, "How overlapping predictions are suppressed.")
_SIGMA = define_float("nms_sigma", 0.84, "Width of the Gaussian.", POSITIVE)
_THRESHOLD = define_float("nms_threshold", 0.5, "tIoU for linear and hard.", FRACTION)
_VOTE = define_float("vote", 0.0, "tIoU from which others refine a segment; 0: none.", FRACTION)
_TOP_K = flags.DEFINE_integer("top_k", 100, "Predictions a video that are kept.", 1)

_BATCH = 16  # videos suppressed at once


def main() -> None:
    paths = names(_PREDICTIONS.value)
    try_to_write(_OUTPUT.value)
    weights = _weights(len(paths))
    systems = _with_common_ids([_load(path) for path in paths])
    videos = list(dict.fromkeys(video for system in systems for video in system.video_ids))
    labels = tuple(sorted({label for system in systems for label in system.labels}))
    parts = [_by_video(system, labels) for system in systems]
    none = _proposals(np.empty((0, 2)), np.empty(0), np.empty(0, np.int64))
    unions = [union([part.get(video, none) for part in parts], weights) for video in videos]
    kept = _suppressed(unions)
    if _CLASS_SCORES.value:
        kept, labels = _labelled(kept, videos)
    results = {
        video: _detections(video, one, labels) for video, one in zip(videos, kept, strict=True)
    }
    by_ending.save(_OUTPUT.value, results)
    count = sum(len(system.score) for system in systems)
    written = sum(map(len, results.values()))
    print(
        f"{count} predictions of {len(videos)} videos in {len(paths)} files -> {written} in"
        f" {_OUTPUT.value}"
    )


def _load(path: str) -> Predictions:
    system = predictions.load(path)
    for wrong, what in (
        (system.score < 0, "a score below 0, which cannot be weighed: take exp of log scores"),
        (system.segment[:, 1] < system.segment[:, 0], "a segment that ends before it starts"),
    ):
        if wrong.any():
            at = int(wrong.argmax())
            video, entry = system.video[at], at - np.searchsorted(system.video, system.video[at])
            raise UserError(f"{path}: video {system.video_ids[video]!r}, entry {entry}: {what}")
    return system


def _with_common_ids(systems: Sequence[Predictions]) -> list[Predictions]:
    """The systems with the first one's ids of the videos that it shares."""
    known = set(systems[0].video_ids)
    return [
        dataclasses.replace(system, video_ids=video_ids.aligned(system.video_ids, known))
        for system in systems
    ]


def _weights(count: int) -> list[float]:
    try:
        weights = [float(text) for text in names(_WEIGHTS.value)] or [1.0] * count
    except ValueError:
        weights = []
    if not count or len(weights) != count or not all(is_number(w) and w > 0 for w in weights):
        raise UsageError(
            f"--weights={_WEIGHTS.value}: not {count} numbers above 0 and up to {MOST:g}, one for"
            " each file of --predictions"
        )
    return weights


def _proposals(segments: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> Proposals:
    return Proposals(segments, scores, None if _CLASS_SCORES.value else labels)


def _by_video(system: Predictions, labels: Sequence[str]) -> dict[str, Proposals]:
    number = {label: i for i, label in enumerate(labels)}
    label = np.array([number[name] for name in system.labels], np.int64)[system.label]
    edges = np.searchsorted(system.video, np.arange(len(system.video_ids) + 1))
    arrays = (system.segment, system.score, label)
    return {
        video: _proposals(*(array[low:high] for array in arrays))
        for video, low, high in zip(system.video_ids, edges, edges[1:], strict=False)
    }


def _suppressed(unions: Sequence[Proposals]) -> list[Proposals]:
    how = Suppression(_NMS.value, _SIGMA.value, _THRESHOLD.value, _VOTE.value, _TOP_K.value)
    batches = [unions[i : i + _BATCH] for i in range(0, len(unions), _BATCH)]
    return [one for batch in batches for one in suppress(batch, how)]


def _labelled(
    kept: Sequence[Proposals], videos: list[str]
) -> tuple[list[Proposals], tuple[str, ...]]:
    classes, results = class_scores.read(_CLASS_SCORES.value)
    labels = tuple(classes)
    scores, missing = class_scores.select(_CLASS_SCORES.value, classes, results, videos, labels)
    if missing:
        lacking = f"{_CLASS_SCORES.value}: lacks {len(missing)} videos: {first(missing)}"
        errors.warn([f"{lacking}: all their classes count as equally probable"])
    named = [
        with_classes(one, row, _TOP_CLASSES.value) for one, row in zip(kept, scores, strict=True)
    ]
    return [one.first(_TOP_K.value) for one in named], labels


def _detections(video: str, kept: Proposals, labels: Sequence[str]) -> Detections:
    names = [labels[int(i)] for i in kept.known_labels]
    try:
        return Detections(kept.segments, names, kept.scores, video)
    except UserError as error:
        raise UserError(
            f"{_OUTPUT.value}: {error}: lower --weights, or the scores of --class_scores"
        ) from error


if __name__ == "__main__":
    errors.run(main)
