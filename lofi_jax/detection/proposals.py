"""From a dense head's probabilities to scored segments (BSN's candidate rule, as G-TAD and BMN use it)."""

import numpy as np


def boundary_candidates(probability: np.ndarray) -> np.ndarray:
    """Where an action may begin or end: at a local peak, or wherever over half the maximum.

    Args:
        probability: (L,) of a start or an end.

    Returns:
        (L,) bool. The ends of the video are always candidates: an action may fill it.
    """
    padded = np.pad(probability, 1, constant_values=-np.inf)
    peak = (probability > padded[:-2]) & (probability > padded[2:])
    candidates = peak | (probability > 0.5 * probability.max())
    return candidates


def dense_proposals(
    anchors: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    confidence: np.ndarray,
    use_boundaries: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores every anchor whose first snippet is a start candidate and whose last one is an end candidate.

    Args:
        anchors: (N, 2) int, start and exclusive end in snippets.
        start, end: (L,) probabilities.
        confidence: (N,) what the maps say of each anchor.
        use_boundaries: multiply the probabilities of start and end into the score and let them choose the candidates;
            else every anchor is a proposal with the confidence alone for its score.

    Returns:
        Segments (P, 2) float64 in units of the video, [0, 1], and scores (P,) float64.
    """
    confidence = np.asarray(confidence, np.float64)
    segments = anchors / len(start)
    if not use_boundaries:
        return segments, confidence
    first, last = anchors[:, 0], anchors[:, 1] - 1
    chosen = boundary_candidates(start)[first] & boundary_candidates(end)[last]
    scores = confidence * start[first] * end[last]
    return segments[chosen], scores[chosen]
