"""Temporal IoU and non-maximum suppression: from many overlapping proposals to the best few."""

import numpy as np

METHODS = ("gaussian", "linear", "hard")
VOTES = ("score_tiou", "score")


def tiou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Temporal intersection over union of each segment of `a` with each of `b`.

    An empty or backward segment has a tIoU of 0 with everything, itself included.

    Args:
        a: (N, 2) start and end, in any one unit.
        b: (M, 2), in the same unit.

    Returns:
        (N, M), in 0..1.
    """
    return paired_tiou(np.asarray(a)[:, None], np.asarray(b)[None])


def paired_tiou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As `tiou`, elementwise: (..., 2) and (..., 2) broadcast to (...)."""
    overlap = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    union = (b[..., 1] - b[..., 0]) + (a[..., 1] - a[..., 0]) - overlap
    # An overlap above 0 needs two segments above 0, so the union is above 0 wherever it is used.
    return np.divide(overlap, union, out=np.zeros(overlap.shape), where=overlap > 0)


def soft_nms_batch(
    segments: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None,
    sigma: float,
    top_k: int,
    method: str = "gaussian",
    threshold: float = 0.5,
    min_score: float = 0.0,
    floor: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray]:
    """Picks each video's best-scored proposal, lowers the scores of those it overlaps, and so on.

    With each pick the scores of all others are multiplied by exp(-tIoU^2 / sigma) ("gaussian"), or
    where tIoU > threshold by 1 - tIoU ("linear") or 0 ("hard"). Ties go to the lower index.
    Source: Bodla et al., Soft-NMS, arXiv 1704.04503, equations 1 to 3.

    Args:
        segments: (B, N, 2) start and end, in any one unit; videos with fewer proposals are padded.
        scores: (B, N) at least 0; those at 0, as of padding, are never picked.
        labels: (B, N) integer: proposals lower the scores of their own class only. None: of all.
        sigma: width of the Gaussian, above 0; read by "gaussian" only.
        top_k: how many to pick at most.
        method: one of `METHODS`.
        threshold: read by "linear" and "hard" only.
        min_score: picking ends when no lowered score is above.
        floor: read by "gaussian" only: it lowers scores where the tIoU is over floor[0] +
            (floor[1] - floor[0]) x the length of the picked segment (BMN's, in units of the video,
            so that long ones may overlap more).

    Returns:
        indices (B, K) int64 in the order picked, and their lowered scores (B, K) float64, which
        never rise along the way, K = min(top_k, N); -1 and 0 once a video has no more to pick.
        What is batched together changes no number.

    Raises:
        ValueError: unknown method, sigma not above 0, or a score that is negative or not finite.
    """
    if method not in METHODS:
        raise ValueError(f"unknown NMS method {method!r}: one of {', '.join(METHODS)}")
    if method == "gaussian" and not sigma > 0:
        raise ValueError(f"the Gaussian needs a sigma above 0, not {sigma}")
    if not (np.isfinite(scores) & (scores >= 0)).all():
        raise ValueError("scores for NMS must be finite and 0 or above")

    # Contiguous memory, in place: this loop is most of inference off the device.
    # Empty segments get a length, which changes no tIoU and avoids a division by 0.
    start, end = np.ascontiguousarray(np.moveaxis(segments, -1, 0), np.float64)
    length = np.where(end > start, end - start, 1.0)
    current = np.array(scores, np.float64)
    overlaps, union = np.empty_like(current), np.empty_like(current)
    rows = np.arange(len(current))
    picks = min(top_k, current.shape[1])
    indices = np.full((len(current), picks), -1)
    lowered = np.zeros((len(current), picks))
    for pick in range(picks):
        best = current.argmax(axis=1)
        score = current[rows, best]
        going = score > min_score
        if not going.any():
            break
        indices[going, pick], lowered[going, pick] = best[going], score[going]

        def of_best(values, best=best):
            return values[rows, best][:, None]

        np.minimum(end, of_best(end), out=overlaps)
        overlaps -= np.maximum(start, of_best(start), out=union)
        np.maximum(overlaps, 0, out=overlaps)
        np.add(length, of_best(length), out=union)
        union -= overlaps
        overlaps /= union
        if labels is not None:
            overlaps[labels != of_best(labels)] = 0
        if method == "gaussian" and any(floor):
            least = floor[0] + (floor[1] - floor[0]) * of_best(end - start)
            overlaps[overlaps <= least] = 0
        _lower(current, overlaps, method, sigma, threshold)
        current[rows, best] = 0
    return indices, lowered


def _lower(
    scores: np.ndarray, tious: np.ndarray, method: str, sigma: float, threshold: float
) -> None:
    """Lowers scores by their segments' tIoU with a picked one, both (B, N), in place."""
    if method == "gaussian":
        tious *= tious
        tious /= -sigma
        scores *= np.exp(tious, out=tious)
    elif method == "linear":
        scores *= np.where(tious > threshold, 1 - tious, 1.0)
    else:
        scores[tious > threshold] = 0


def vote(
    kept: np.ndarray,
    segments: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    may_vote: np.ndarray | None = None,
    by: str = "score_tiou",
) -> np.ndarray:
    """Refines kept segments by those around them: score voting.

    Each becomes the mean of all segments whose tIoU with it is at or over `threshold`, weighted;
    one without any weight stays. Source: Kim and Lee, arXiv 2007.08103, section 3.

    Args:
        kept: (K, 2) start and end.
        segments: (N, 2), all proposals before suppression.
        scores: (N,) their scores, at least 0.
        threshold: in 0..1.
        may_vote: (K, N) bool, which votes count, such as those of the same class; by default all.
        by: the weights, one of `VOTES`: score x tIoU, as the ActionFormer project has them, or the
            scores alone, as the TriDet and OpenTAD projects.

    Returns:
        (K, 2) float64.
    """
    kept = np.asarray(kept, np.float64)
    overlaps = tiou(kept, segments)
    if may_vote is not None:
        overlaps = np.where(may_vote, overlaps, -1.0)
    votes = overlaps * scores if by == "score_tiou" else scores
    weight = np.where(overlaps >= threshold, votes, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    return np.divide(weight @ segments, total, out=kept.copy(), where=total > 0)
