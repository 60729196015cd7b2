"""Why detections are wrong: false positives by type, what each type costs, and which instances are
missed.

The definitions are those of DETAD (Alwassel et al., Diagnosing Error in Temporal Action Detectors,
ECCV 2018), as its authors' tool counts:

- Instances with end <= start, or longer than their video, are left out (`sound`).
- Of each class, the best k x G predictions are looked at, G being its number of instances ("the top
  kG"; k = 10).
- The precision is normalised, so that classes of all sizes compare: R x N / (R x N + false
  positives), R being the recall and N the average number of instances a class. mAP_N is the mAP
  with this precision.
- A prediction that is not true is of a type (false_positives.py), by the instance of its video that
  it overlaps most.
- The gain from fixing a type is the mAP_N of the top 10G without the false positives of that type,
  less that with them.
- An instance is missed where no prediction matches it at a normalised precision over 0.05
  (sensitivity.py).
- The mAP_N of some instances counts those predictions that match one of them, or nothing, at every
  threshold.
"""

from collections.abc import Callable, Mapping

import numpy as np

from lofi_jax.detection import false_positives, sensitivity
from lofi_jax.detection.buckets import Buckets
from lofi_jax.detection.false_positives import TYPES
from lofi_jax.detection.matching import Instances, match, ranked
from lofi_jax.detection.precision import interpolated_precision

TOP = 10


def sound(ground_truth: Instances, durations: np.ndarray) -> np.ndarray:
    """Which instances DETAD counts, (M,) bool: forward, and not longer than their video where its
    length is known.

    Args:
        ground_truth: M instances.
        durations: (videos,) seconds, NaN where unknown.
    """
    length = ground_truth.segment[:, 1] - ground_truth.segment[:, 0]
    return (length > 0) & ~(length > durations[ground_truth.video])


def diagnose(
    ground_truth: Instances,
    predictions: Instances,
    num_classes: int,
    tious: np.ndarray,
    kinds: Mapping[str, Buckets],
) -> dict:
    """The whole diagnosis as plain numbers: fractions, averaged over the thresholds unless stated
    otherwise.

    >>> truth = Instances(*map(np.array, ([0, 1], [0, 1], [[1.0, 3.0], [5.0, 9.0]], [1.0, 1.0])))
    >>> found = truth._replace(segment=truth.segment + [[0.5], [3.0]], score=np.array([0.9, 0.4]))
    >>> from lofi_jax.detection.buckets import buckets, characteristics
    >>> kinds = buckets(characteristics(truth, np.array([10.0, 20.0])), "activitynet")
    >>> result = diagnose(truth, found, 2, np.array([0.5]), kinds)
    >>> result["missed"], result["false_positives"]["by_tiou"]["0.50"]["localization"]
    (0.5, 0.5)

    Args:
        ground_truth: M instances that are `sound`, at least one.
        predictions: of the same video and label numbers.
        num_classes: labels run from 0 to here.
        tious: (K,) thresholds.
        kinds: from `buckets.buckets`.

    Returns:
        {"average_mAP_N", "missed", "false_positives": {"predictions", "by_rank": [{"predictions",
        TYPE: share}], from the best G of every class to the tenth, "by_tiou": {"0.50": {TYPE:
        share}}, "average_mAP_N", "gain": {TYPE: x}}, "instances": {KIND: [{"bucket", "from", "to",
        "instances", "missed", "average_mAP_N"}]}}.
    """
    predictions = ranked(predictions)
    label = predictions.label
    matched = match(ground_truth, predictions, num_classes, tious)
    lost = sensitivity.missed(matched, ground_truth, label, num_classes)

    def found(chosen):
        return sensitivity.precision_of_some(matched, ground_truth, label, num_classes, chosen)

    positives = np.bincount(ground_truth.label, minlength=num_classes)
    nth = (np.arange(len(label)) - np.searchsorted(label, label)) // np.maximum(positives, 1)[label]
    top = (nth < TOP) & (positives > 0)[label]
    types = false_positives.false_positive_types(
        ground_truth, predictions.take(top), matched[top], tious
    )
    base, gain = false_positives.gains(types, matched[top], ground_truth, label[top], num_classes)
    return {
        "average_mAP_N": found(np.ones(len(ground_truth.label), dtype=bool)),
        "missed": float(lost.mean()),
        "false_positives": {
            "predictions": int(top.sum()),
            "by_rank": [
                {"predictions": int((nth[top] == i).sum())} | _shares(types[nth[top] == i])
                for i in range(TOP)
            ],
            "by_tiou": {f"{t:.2f}": _shares(x) for t, x in zip(tious, types.T, strict=True)},
            "average_mAP_N": base,
            "gain": gain,
        },
        "instances": {name: _of_buckets(kind, lost, found) for name, kind in kinds.items()},
    }


def _of_buckets(
    kind: Buckets, lost: np.ndarray, found: Callable[[np.ndarray], float]
) -> list[dict]:
    """What is missed and found of the instances of each bucket."""
    rows = []
    for i, bucket in enumerate(kind.names):
        chosen = kind.of == i
        row = {"bucket": bucket, "from": kind.edges[i], "to": None}
        if np.isfinite(kind.edges[i + 1]):
            row["to"] = kind.edges[i + 1]
        row |= {"instances": int(chosen.sum()), "missed": None, "average_mAP_N": None}
        if chosen.any():
            row |= {"missed": float(lost[chosen].mean()), "average_mAP_N": found(chosen)}
        rows.append(row)
    return rows


def _shares(types: np.ndarray) -> dict[str, float]:
    return {name: float(np.mean(types == i)) if types.size else 0.0 for i, name in enumerate(TYPES)}


def video_precision(
    ground_truth: Instances, predictions: Instances, num_classes: int, tious: np.ndarray
) -> np.ndarray:
    """The average precision of each video alone, over all its predictions, whatever their class.

    Matches are those of `match`, so a wrong label is a false positive. (V,) float64, the mean over
    the thresholds; NaN for a video without instances.

    Args:
        ground_truth: video numbers run up to V.
        predictions: as `ranked` has them.
    """
    hit = match(ground_truth, predictions, num_classes, tious) >= 0
    order = np.lexsort((-predictions.score, predictions.video))
    video = predictions.video[order]
    count = 1 + max(ground_truth.video.max(initial=-1), predictions.video.max(initial=-1))
    positives = np.bincount(ground_truth.video, minlength=count)
    of_video = [interpolated_precision(column[order], video, positives) for column in hit.T]
    return np.mean(of_video, axis=0)
