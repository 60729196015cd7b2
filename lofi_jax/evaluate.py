"""Prints the metrics of a prediction file.

python -m lofi_jax.evaluate --ground_truth=annotations.json --predictions=detections.json \\
    --subset=validation

Both files are in the ActivityNet form. The numbers are the official evaluation's (see
detection/metrics.py), over the videos of the subset; whatever is left out of them is said.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from absl import flags

from lofi_jax import errors
from lofi_jax.data import annotations, predictions
from lofi_jax.data.annotations import Annotations, Video, first
from lofi_jax.data.predictions import Predictions
from lofi_jax.detection import metrics
from lofi_jax.errors import UserError

GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file.", required=True)
PREDICTIONS = flags.DEFINE_string("predictions", None, "Prediction file.", required=True)
SUBSET = flags.DEFINE_string("subset", None, "The videos to evaluate on.", required=True)
TIOU = flags.DEFINE_string("tiou", "0.5:0.05:0.95", "Thresholds of the mAP, first:step:last.")
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write the metrics to, as fractions.")


def main(argv: Sequence[str]) -> None:
    if argv[1:]:
        raise UserError(f"unexpected argument {argv[1]!r}: this command takes flags only")
    tious = parse_tious(TIOU.value)
    # As written: the official evaluation counts even those segments that training has to mend.
    annotated = annotations.load(GROUND_TRUTH.value, repair=False)
    videos = annotated.subset(SUBSET.value)
    labels = {label for video in videos.values() for label in video.labels}
    if not labels:
        raise UserError(f"{GROUND_TRUTH.value}: subset {SUBSET.value!r} has no segments to find")
    found = predictions.load(PREDICTIONS.value)
    if videos.keys().isdisjoint(found.video_ids):
        raise UserError(
            f"{PREDICTIONS.value}: no video in common with subset {SUBSET.value!r} of "
            f"{GROUND_TRUTH.value}: {found.video_ids[0]!r} and others, not {next(iter(videos))!r}"
        )
    for warning in _warnings(annotated, videos, labels, found):
        print(f"warning: {warning}", file=sys.stderr)

    # Labels unknown to the ground truth make classes without any, so they count for AR alone.
    classes = (*sorted(labels), *sorted(set(found.labels) - labels))
    truth = annotations.ground_truth(videos, classes)
    counted = predictions.instances(found, tuple(videos), classes)
    scores = metrics.evaluate(truth, counted, len(classes), tious)
    print(
        f"{len(counted.score)} predictions against {len(truth.score)} segments of {len(labels)} "
        f"classes in {len(videos)} videos of {SUBSET.value!r}; all in per cent\n\n" + table(scores)
    )
    if OUTPUT.value:
        annotations.write_json(OUTPUT.value, scores)


def parse_tious(text: str) -> np.ndarray:
    """Thresholds (K,) from "first:step:last" or a single number; a `UserError` if they are none."""
    try:
        exact = [
            100 * float(part) for part in (text.split(":") if ":" in text else (text, 1, text))
        ]
        low, step, high = map(round, exact)
        hundredths = range(low, high + 1, step)
        sound = np.allclose(exact, [low, step, high]) and hundredths[-1] == high
    except (ValueError, OverflowError, IndexError):
        sound = False
    if not (sound and 0 < low <= high <= 100):
        raise UserError(
            f"--tiou={text}: not first:step:last in hundredths above 0 and up to 1, with a last "
            "that the steps reach, such as 0.5:0.05:0.95"
        )
    return np.linspace(low / 100, high / 100, len(hundredths))


def table(scores: Mapping) -> str:
    """The metrics, in per cent, as text.

    Args:
        scores: from `metrics.evaluate`.
    """

    def rows(title: str, heads: Sequence[str], name: str, values: Sequence[float]) -> str:
        head = f"{title:<10}" + "".join(f"{head:>9}" for head in heads)
        return head + f"\n{name:<10}" + "".join(f"{100 * value:9.2f}" for value in values)

    mean_ap, recall = scores["mAP"], scores["AR"]
    return "\n\n".join(
        [
            rows("tIoU", [*mean_ap, "average"], "mAP", [*mean_ap.values(), scores["average_mAP"]]),
            rows("proposals", [*recall, "AUC"], "AR", [*recall.values(), scores["AUC"]]),
        ]
    )


def _warnings(
    annotated: Annotations, videos: Mapping[str, Video], labels: set[str], found: Predictions
) -> Iterator[str]:
    repeated = annotated.problems.get(annotations.DUPLICATE)
    if repeated:
        yield f"{annotated.path}: {len(repeated)} {annotations.DUPLICATE}: {first(repeated)}"
    if found.duplicates:
        count = f"{len(found.duplicates)} {annotations.DUPLICATE}"
        yield f"{PREDICTIONS.value}: {count}: {first(found.duplicates)}"
    empty = [
        f"{key}[{index}]"
        for key, video in videos.items()
        for index in np.flatnonzero(video.segments[:, 1] <= video.segments[:, 0])
    ]
    if empty:
        yield f"{len(empty)} segments of the ground truth with end <= start: {first(empty)}: missed"
    counts = np.bincount(found.video, minlength=len(found.video_ids))
    outside = [key for key in found.video_ids if key not in videos]
    if outside:
        yield f"{len(outside)} predicted videos are not in the subset: {first(outside)}: left out"
    predicted = {key for key, count in zip(found.video_ids, counts, strict=True) if count}
    silent = [key for key in videos if key not in predicted]
    if silent:
        yield f"{len(silent)} videos have no predictions: {first(silent)}: all missed"
    used = np.bincount(found.label, minlength=len(found.labels))
    unknown = {
        repr(label): count
        for label, count in zip(found.labels, used, strict=True)
        if label not in labels
    }
    if unknown:
        total = sum(unknown.values())
        yield (
            f"{total} predictions have labels that the ground truth lacks: "
            f"{first(tuple(unknown))}: left out of the mAP"
        )


if __name__ == "__main__":
    errors.run(main)
