"""How well instances of a kind are found, by the normalised precision of DETAD; see
diagnosis.py.
"""

import numpy as np

from lofi_jax.detection.matching import Instances
from lofi_jax.detection.precision import interpolated_precision, precision_at_hits

LEAST_PRECISION = 0.05


def normalised_precision(
    matched: np.ndarray,
    label: np.ndarray,
    positives: np.ndarray,
    average_number: float,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """AP_N of each class at each threshold.

    Args:
        matched: (N, K), -1 for false positives; class by class, best scores first.
        label: (N,) ascending.
        positives: (C,) how many instances each class has.
        average_number: N of the normalised precision.
        weight: (N, K), 0 for predictions that are left out; by default all count.

    Returns:
        (C, K) float64 in 0..1; NaN for a class without instances.
    """
    scale = average_number / np.maximum(positives, 1)
    columns = [
        interpolated_precision(
            matched[:, k] >= 0, label, positives, None if weight is None else weight[:, k], scale
        )
        for k in range(matched.shape[1])
    ]
    return np.stack(columns, axis=1)


def missed(
    matched: np.ndarray, ground_truth: Instances, label: np.ndarray, num_classes: int
) -> np.ndarray:
    """Which instances are missed at each threshold, (M, K) bool.

    Args:
        matched: (N, K), indices into `ground_truth`; class by class, best scores first.
        ground_truth: M instances.
        label: (N,) ascending.
        num_classes: labels run from 0 to here.
    """
    positives = np.bincount(ground_truth.label, minlength=num_classes)
    scale = len(ground_truth.label) / max((positives > 0).sum(), 1) / np.maximum(positives, 1)
    result = np.ones((len(ground_truth.label), matched.shape[1]), dtype=bool)
    for k in range(matched.shape[1]):
        hit = matched[:, k] >= 0
        rows, precision = precision_at_hits(hit, label, num_classes, scale=scale)
        result[matched[rows[precision > LEAST_PRECISION], k], k] = False
    return result


def precision_of_some(
    matched: np.ndarray,
    ground_truth: Instances,
    label: np.ndarray,
    num_classes: int,
    chosen: np.ndarray,
) -> float:
    """The mAP_N of some of the instances, averaged over thresholds and the classes that they are
    of.

    Args:
        matched, ground_truth, label, num_classes: as for `missed`.
        chosen: (M,) bool, at least one.
    """
    all_positives = np.bincount(ground_truth.label, minlength=num_classes)
    positives = np.bincount(ground_truth.label[chosen], minlength=num_classes)
    average_number = len(ground_truth.label) / (all_positives > 0).sum()
    kept = (np.append(chosen, True)[matched]).all(axis=1)  # -1 is the last
    of_class = normalised_precision(matched[kept], label[kept], positives, average_number)
    return float(of_class[positives > 0].mean())
