"""Segments from class scores over time: thresholds and grouping, which need no training.

Each class's scores are cut at several thresholds, and neighbouring steps above one are a candidate.
Of candidates that overlap, the one is kept that stands out most from what is around it (the
outer-inner contrast of Shou et al., AutoLoc, ECCV 2018, equation 3).
"""

import numpy as np
from jaxtyping import Float, Int

from lofi_jax.detection.proposals import Proposals

# Of a class's highest score.
_THRESHOLDS = np.arange(0.1, 1.0, 0.1)
# What is around a segment: this part of its length on either side.
_MARGIN = 0.25


def group(scores: Float[np.ndarray, "S classes"], most: int, least: float) -> Proposals:
    """The segments of a video's classes, best first; the score of one is its steps' mean.

    Args:
        scores: of each step of the video, at least 0.
        most: the classes with the highest scores, of which each has a segment.
        least: the score of any other segment.
    """
    best = np.argsort(-scores.max(axis=0), kind="stable")
    segments, means, labels = [], [], []
    for place, label in enumerate(best.tolist()):
        curve = np.asarray(scores[:, label], np.float64)
        if curve.max() <= 0 or (place >= most and curve.max() < least):
            break
        found = _apart(curve)
        inside = np.array([curve[start:end].mean() for start, end in found])
        kept = inside >= least
        if place < most:
            kept[inside.argmax()] = True
        segments += found[kept].tolist()
        means += inside[kept].tolist()
        labels += [label] * int(kept.sum())
    order = np.argsort(-np.array(means), kind="stable")
    units = np.array(segments, np.float64).reshape(-1, 2) / len(scores)
    return Proposals(units[order], np.array(means)[order], np.array(labels, np.int64)[order])


def _apart(curve: Float[np.ndarray, " S"]) -> Int[np.ndarray, "n 2"]:
    """One class's segments, none of which overlap: starts and exclusive ends in steps."""
    runs = [_runs(curve >= threshold * curve.max()) for threshold in _THRESHOLDS]
    candidates = np.unique(np.concatenate(runs), axis=0)
    order = np.argsort(-_contrast(curve, candidates), kind="stable")
    kept: list[np.ndarray] = []
    for start, end in candidates[order]:
        if all(end <= other[0] or other[1] <= start for other in kept):
            kept.append(np.array([start, end]))
    return np.stack(kept)


def _runs(chosen: np.ndarray) -> Int[np.ndarray, "n 2"]:
    """Where steps are chosen one after the other."""
    changes = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
    return changes.reshape(-1, 2)


def _contrast(
    curve: Float[np.ndarray, " S"], segments: Int[np.ndarray, "n 2"]
) -> Float[np.ndarray, " n"]:
    """By how much each segment's mean is above that of what is around it, which is 0 outside the
    video.
    """
    start, end = segments.T
    margin = np.ceil(_MARGIN * (end - start)).astype(int)
    total = np.concatenate([[0.0], np.cumsum(curve)])
    low, high = (start - margin).clip(0), (end + margin).clip(None, len(curve))
    inside = total[end] - total[start]
    outside = total[high] - total[low] - inside
    return inside / (end - start) - outside / (2 * margin)
