"""From a head's numbers to scored segments."""

from typing import NamedTuple

import numpy as np

from lofi_jax.detection.nms import soft_nms


class Proposals(NamedTuple):
    """A video's proposals, in no order, before suppression.

    Attributes:
        segments: (P, 2) float64 in units of the video, [0, 1].
        scores: (P,) float64 in 0..1.
        labels: (P,) int, the class of each; None from a head that does not classify.
    """

    segments: np.ndarray
    scores: np.ndarray
    labels: np.ndarray | None = None


def boundary_candidates(probability: np.ndarray) -> np.ndarray:
    """Where an action may begin or end: at a local peak, or wherever over half the maximum (BSN's rule).

    Args:
        probability: (L,) of a start or an end.

    Returns:
        (L,) bool.
    """
    padded = np.pad(probability, 1, constant_values=-np.inf)
    peak = (probability > padded[:-2]) & (probability > padded[2:])
    return peak | (probability > 0.5 * probability.max())


def dense_proposals(
    anchors: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    confidence: np.ndarray,
    use_boundaries: bool = True,
) -> Proposals:
    """Scores every anchor whose first snippet is a start candidate and whose last one is an end candidate.

    The video's first snippet is always a candidate for a start and its last one for an end, as G-TAD and BMN have it.

    Args:
        anchors: (N, 2) int, start and exclusive end in snippets.
        start, end: (L,) probabilities.
        confidence: (N,) what the maps say of each anchor.
        use_boundaries: multiply the probabilities of start and end into the score and let them choose the candidates;
            else every anchor is a proposal with the confidence alone for its score.
    """
    confidence = np.asarray(confidence, np.float64)
    segments = anchors / len(start)
    if not use_boundaries:
        return Proposals(segments, confidence)
    starts, ends = boundary_candidates(start), boundary_candidates(end)
    starts[0] = ends[-1] = True
    first, last = anchors[:, 0], anchors[:, 1] - 1
    chosen = starts[first] & ends[last]
    scores = confidence * start[first] * end[last]
    return Proposals(segments[chosen], scores[chosen])


def suppress(found: Proposals, sigma: float, top_k: int) -> Proposals:
    """The proposals after Gaussian soft-NMS, best first; those of different classes do not suppress each other."""
    labels = np.zeros(len(found.scores), int) if found.labels is None else found.labels
    keep, scores = [np.empty(0, int)], [np.empty(0)]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        kept, lowered = soft_nms(found.segments[members], found.scores[members], sigma, top_k)
        keep.append(members[kept])
        scores.append(lowered)
    keep, scores = np.concatenate(keep), np.concatenate(scores)
    best = np.argsort(-scores, kind="stable")[:top_k]
    keep = keep[best]
    return Proposals(
        found.segments[keep], scores[best], None if found.labels is None else labels[keep]
    )
