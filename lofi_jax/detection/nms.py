"""Temporal IoU and non-maximum suppression: from many overlapping proposals to the best few."""

import numpy as np

METHODS = ("gaussian", "linear", "hard")


def tiou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Temporal intersection over union of each segment of `a` with each of `b`.

    A segment that is empty or runs backwards has a tIoU of 0 with everything, itself included.

    Args:
        a: (N, 2) start and end, in any one unit.
        b: (M, 2), in the same unit.

    Returns:
        (N, M), in 0..1.
    """
    return paired_tiou(np.asarray(a)[:, None], np.asarray(b)[None])


def paired_tiou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As `tiou`, for segments that are paired already: (..., 2) and (..., 2) broadcast to (...)."""
    overlap = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    union = (b[..., 1] - b[..., 0]) + (a[..., 1] - a[..., 0]) - overlap
    # An overlap above 0 needs two segments above 0, so the union is above 0 wherever it is used.
    return np.divide(overlap, union, out=np.zeros(overlap.shape), where=overlap > 0)


def soft_nms(
    segments: np.ndarray,
    scores: np.ndarray,
    sigma: float,
    top_k: int,
    method: str = "gaussian",
    threshold: float = 0.5,
    min_score: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Picks the best-scored proposal, lowers the scores of those it overlaps, and so on.

    With each pick the scores of all others are multiplied by exp(-tIoU^2 / sigma) ("gaussian"), or
    where tIoU > threshold by 1 - tIoU ("linear") or 0 ("hard"). Ties go to the lower index.
    Source: Bodla et al., Soft-NMS, arXiv 1704.04503, equations 1 to 3.

    Args:
        segments: (N, 2) start and end, in any one unit.
        scores: (N,) at least 0; those at 0 are never picked.
        sigma: width of the Gaussian, above 0; read by "gaussian" only.
        top_k: how many to pick at most.
        method: one of `METHODS`.
        threshold: read by "linear" and "hard" only.
        min_score: picking ends when no lowered score is above.

    Returns:
        indices (K,) int64 into the input in the order picked, K <= top_k, and their lowered scores
        (K,) float64, which never rise along the way.

    Raises:
        ValueError: unknown method, sigma not above 0, or a score that is negative or not finite.
    """
    if method not in METHODS:
        raise ValueError(f"unknown NMS method {method!r}: one of {', '.join(METHODS)}")
    if method == "gaussian" and not sigma > 0:
        raise ValueError(f"the Gaussian needs a sigma above 0, not {sigma}")
    segments, scores = np.asarray(segments, np.float64), np.asarray(scores, np.float64)
    if not (np.isfinite(scores) & (scores >= 0)).all():
        raise ValueError("scores for NMS must be finite and 0 or above")

    # Rows of contiguous memory and work in place: this loop is most of what inference does off the
    # device. Empty segments get a length, which changes no tIoU and spares a division by 0.
    start, end = np.ascontiguousarray(segments.T)
    length = np.where(end > start, end - start, 1.0)
    current = scores.copy()
    picked: list[int] = []
    lowered: list[float] = []
    while len(picked) < min(top_k, len(scores)):
        best = int(current.argmax())
        if current[best] <= min_score:
            break
        picked.append(best)
        lowered.append(float(current[best]))
        overlaps = np.minimum(end, end[best])
        overlaps -= np.maximum(start, start[best])
        np.maximum(overlaps, 0, out=overlaps)
        union = length + length[best]
        union -= overlaps
        overlaps /= union
        if method == "gaussian":
            overlaps *= overlaps
            overlaps /= -sigma
            current *= np.exp(overlaps, out=overlaps)
        elif method == "linear":
            current *= np.where(overlaps > threshold, 1 - overlaps, 1.0)
        else:
            current[overlaps > threshold] = 0
        current[best] = 0
    return np.array(picked, dtype=np.int64), np.array(lowered, dtype=np.float64)


def vote(
    kept: np.ndarray, segments: np.ndarray, scores: np.ndarray, threshold: float
) -> np.ndarray:
    """Refines kept segments by those around them: score voting.

    Each becomes the mean of all segments whose tIoU with it is at or over `threshold`, weighted by
    score x tIoU; one without any weight stays. Source: Kim and Lee, arXiv 2007.08103, section 3,
    with the weights that the ActionFormer project uses for time.

    Args:
        kept: (K, 2) start and end.
        segments: (N, 2), all proposals before suppression.
        scores: (N,) their scores, at least 0.
        threshold: in 0..1.

    Returns:
        (K, 2) float64.
    """
    kept = np.asarray(kept, np.float64)
    overlaps = tiou(kept, segments)
    weight = np.where(overlaps >= threshold, overlaps * scores, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    return np.divide(weight @ segments, total, out=kept.copy(), where=total > 0)
