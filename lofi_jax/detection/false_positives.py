"""False positives by type, and what each type costs, as DETAD counts them; see diagnosis.py."""

import numpy as np

from lofi_jax.detection.matching import Instances, pairs
from lofi_jax.detection.nms import paired_tiou
from lofi_jax.detection.sensitivity import normalised_precision

TYPES = (
    "true positive",
    "double detection",
    "wrong label",
    "localization",
    "confusion",
    "background",
)
FLOOR = 0.1  # the tIoU under which a prediction overlaps nothing


def false_positive_types(
    ground_truth: Instances, predictions: Instances, matched: np.ndarray, tious: np.ndarray
) -> np.ndarray:
    """The type of each prediction at each threshold.

    A prediction that is not true is, by the highest of its tIoUs with the instances of its video:
    at or over the threshold, a "double detection" of an instance of its own class and a "wrong
    label" for another; at or over `FLOOR`, a "localization" error on its own class and a
    "confusion" with another; else "background". Of instances that it overlaps equally it counts for
    one of its own class if there is one.

    Args:
        ground_truth: M instances.
        predictions: N.
        matched: (N, K) from `match`.
        tious: (K,) thresholds.

    Returns:
        (N, K) int64 indices into `TYPES`.
    """
    prediction, truth = pairs(predictions.video, ground_truth.video)
    overlaps = paired_tiou(predictions.segment[prediction], ground_truth.segment[truth])
    own = predictions.label[prediction] == ground_truth.label[truth]
    best, best_own = np.zeros(len(predictions.label)), np.zeros(len(predictions.label))
    np.maximum.at(best, prediction, overlaps)
    np.maximum.at(best_own, prediction[own], overlaps[own])

    best, of_own = best[:, None], (best_own == best)[:, None]
    close, near = best >= tious, best >= FLOOR
    found = np.where(close, np.where(of_own, 1, 2), np.where(near, np.where(of_own, 3, 4), 5))
    return np.where(matched >= 0, 0, found)


def gains(
    types: np.ndarray,
    matched: np.ndarray,
    ground_truth: Instances,
    label: np.ndarray,
    num_classes: int,
) -> tuple[float, dict[str, float]]:
    """The mAP_N, averaged over classes and thresholds, and the gain from fixing each type of error.

    Args:
        types: (N, K) from `false_positive_types`.
        matched, ground_truth, label: as for `missed`.
        num_classes: labels run from 0 to here.
    """
    positives = np.bincount(ground_truth.label, minlength=num_classes)
    there = positives > 0
    average_number = len(ground_truth.label) / there.sum()

    def mean(weight=None):
        of_class = normalised_precision(matched, label, positives, average_number, weight)
        return float(of_class[there].mean())

    base = mean()
    without = {name: mean((types != i).astype(float)) for i, name in enumerate(TYPES) if i}
    return base, {name: value - base for name, value in without.items()}
