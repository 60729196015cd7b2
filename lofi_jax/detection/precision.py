"""Interpolated average precision from known hits."""

import numpy as np


def interpolated_precision(
    hit: np.ndarray,
    label: np.ndarray,
    positives: np.ndarray,
    weight: np.ndarray | None = None,
    scale: np.ndarray | None = None,
) -> np.ndarray:
    """Each class's average precision: the mean over its ground truth of the best precision at that
    recall or above.

    Args:
        hit: (N,) bool, which predictions are true; class by class, best scores first.
        label: (N,) integer, ascending.
        positives: (C,) number of ground truth segments per class.
        weight: (N,) how often each prediction counts, 0 for one that is left out; by default all
            count once.
        scale: (C,) what true positives count for in the precision, scale x TP / (scale x TP + FP);
            by default 1.

    Returns:
        (C,) float64 in 0..1; NaN for a class without ground truth.
    """
    rows, precision = precision_at_hits(hit, label, len(positives), weight, scale)
    best = best_from_here_on(precision, label[rows])
    if weight is not None:
        best = best * weight[rows]
    # Recall rises at each hit and nowhere else.
    total = np.bincount(label[rows], best, minlength=len(positives))
    return np.divide(total, positives, out=np.full(len(positives), np.nan), where=positives > 0)


def precision_at_hits(
    hit: np.ndarray,
    label: np.ndarray,
    num_classes: int,
    weight: np.ndarray | None = None,
    scale: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The places (H,) of the hits, and the precision (H,) of all predictions of the class up to
    each; see above.
    """
    rows = np.flatnonzero(hit)
    counts = np.ones(len(hit)) if weight is None else weight
    true, every = (cumulative(label, x, num_classes, rows) for x in (counts * hit, counts))
    false = every - true
    if scale is not None:
        true = true * scale[label[rows]]
    return rows, np.divide(true, true + false, out=np.zeros(len(rows)), where=true > 0)


def cumulative(
    label: np.ndarray, values: np.ndarray, num_classes: int, rows: np.ndarray
) -> np.ndarray:
    """Running sums of the values (..., N), begun anew with each class, at some places (H,); labels
    (N,) ascend.
    """
    total = np.cumsum(values, axis=-1, dtype=values.dtype)
    edges = np.searchsorted(label, np.arange(num_classes))
    before = np.where(edges > 0, total[..., edges - 1], 0) if len(label) else total
    return total[..., rows] - before[..., label[rows]]


def sums(label: np.ndarray, values: np.ndarray, num_classes: int) -> np.ndarray:
    """Each class's sum (..., C) of the values (..., N); labels (N,) ascend."""
    total = np.cumsum(values, axis=-1)
    total = np.concatenate([np.zeros((*total.shape[:-1], 1), total.dtype), total], axis=-1)
    return np.diff(total[..., np.searchsorted(label, np.arange(num_classes + 1))], axis=-1)


def best_from_here_on(precision: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The highest of each class's precisions (..., H), in 0..1, at a place or after it; labels (H,)
    ascend.
    """
    if not len(label):
        return precision
    # Steps of 2 from class to class, so that one running maximum serves all.
    step = 2.0 * (label[-1] - label)
    return np.maximum.accumulate((precision + step)[..., ::-1], axis=-1)[..., ::-1] - step
