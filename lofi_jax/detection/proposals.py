"""From a head's outputs to scored segments."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lofi_jax.detection.nms import soft_nms_batch, vote


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

    @property
    def known_labels(self) -> np.ndarray:
        """The labels, of proposals that have them.

        Raises:
            ValueError: they have none.
        """
        if self.labels is None:
            raise ValueError("proposals without labels")
        return self.labels

    def first(self, count: int) -> "Proposals":
        """The first so many."""
        labels = None if self.labels is None else self.labels[:count]
        return Proposals(self.segments[:count], self.scores[:count], labels)


def boundary_candidates(probability: np.ndarray) -> np.ndarray:
    """Candidate boundaries: local peaks, and everything over half the maximum (BSN's rule).

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
    select: bool,
    weigh: bool,
) -> Proposals:
    """Scores the anchors, as G-TAD and BMN do.

    An anchor's end is read at the next snippet, so anchors that end with the video are no
    proposals.

    Args:
        anchors: (N, 2) int, start and exclusive end in snippets.
        start, end: (L,) probabilities.
        confidence: (N,) of each anchor, from the maps.
        select: keep only anchors that start and end at candidates; the video's first snippet is
            always a candidate start, and its last one a candidate end.
        weigh: multiply the score by the probabilities of start and end; otherwise it is the
            confidence alone.
    """
    inside = anchors[:, 1] < len(start)
    anchors, confidence = anchors[inside], np.asarray(confidence, np.float64)[inside]
    first, after = anchors.T
    scores = confidence * start[first] * end[after] if weigh else confidence
    if select:
        starts, ends = boundary_candidates(start), boundary_candidates(end)
        starts[0] = ends[-1] = True
        chosen = starts[first] & ends[after]
        anchors, scores = anchors[chosen], scores[chosen]
    return Proposals(anchors / len(start), scores)


class Suppression(NamedTuple):
    """Settings of non-maximum suppression; see nms.py.

    Attributes:
        method: one of `nms.METHODS`.
        sigma, threshold: of the method.
        vote: the tIoU from which proposals refine a kept one; 0: none do.
        top_k: how many are kept.
        floor, min_score: see `soft_nms_batch`.
        multiclass: classes neither suppress each other nor vote for each other.
        vote_by: see `nms.vote`.
    """

    method: str
    sigma: float
    threshold: float
    vote: float
    top_k: int
    floor: tuple[float, float] = (0.0, 0.0)
    min_score: float = 0.0
    multiclass: bool = True
    vote_by: str = "score_tiou"


def suppress(found: Sequence[Proposals], how: Suppression) -> list[Proposals]:
    """Proposals after suppression, best first.

    Args:
        found: all with labels or all without.
    """
    most = max((len(one.scores) for one in found), default=0)

    def padded(arrays: Sequence[np.ndarray]) -> np.ndarray:
        rows = [
            np.concatenate([x, np.zeros((most - len(x), *x.shape[1:]), x.dtype)]) for x in arrays
        ]
        return np.stack(rows)

    if not most:
        return list(found)
    by_class = how.multiclass and found[0].labels is not None
    indices, lowered = soft_nms_batch(
        padded([one.segments for one in found]),
        padded([one.scores for one in found]),
        padded([one.known_labels for one in found]) if by_class else None,
        how.sigma,
        how.top_k,
        how.method,
        how.threshold,
        how.min_score,
        how.floor,
    )
    return [
        _kept(one, index[index >= 0], scores[index >= 0], how)
        for one, index, scores in zip(found, indices, lowered, strict=True)
    ]


def _kept(found: Proposals, index: np.ndarray, scores: np.ndarray, how: Suppression) -> Proposals:
    segments = found.segments[index]
    labels = None if found.labels is None else found.labels[index]
    if how.vote > 0:
        same = None
        if how.multiclass and labels is not None:
            same = labels[:, None] == found.labels
        segments = vote(segments, found.segments, found.scores, how.vote, same, how.vote_by)
    return Proposals(segments, scores, labels)


def with_classes(found: Proposals, probabilities: np.ndarray, top_classes: int) -> Proposals:
    """Each proposal with each of the video's most probable classes, scores multiplied; best first.

    So G-TAD (arXiv 1911.11462, section 4) and BMN label proposals on ActivityNet, with the two best
    classes of an external classifier.

    Args:
        found: without labels.
        probabilities: (classes,) of the video.
        top_classes: how many classes.
    """
    best = np.argsort(-probabilities, kind="stable")[:top_classes]
    scores = (found.scores[:, None] * probabilities[best]).ravel()
    order = np.argsort(-scores, kind="stable")
    segments = np.repeat(found.segments, len(best), axis=0)
    labels = np.tile(best, len(found.scores))
    return Proposals(segments[order], scores[order], labels[order])


def union(parts: Sequence[Proposals], weights: Sequence[float]) -> Proposals:
    """The union of several systems' proposals for a video, scores times the system's weight.

    Of equal segments of one class the one with the best score is kept.

    Args:
        parts: one per system; all with labels or all without.
        weights: one per system, above 0.
    """
    segments = np.concatenate([part.segments for part in parts])
    weighted = [part.scores * weight for part, weight in zip(parts, weights, strict=True)]
    scores = np.concatenate(weighted)
    labels = None
    if parts[0].labels is not None:
        labels = np.concatenate([part.known_labels for part in parts])
    order = np.argsort(-scores, kind="stable")
    keys = segments if labels is None else np.column_stack([segments, labels])
    _, first_of = np.unique(keys[order], axis=0, return_index=True)
    kept = order[np.sort(first_of)]
    return Proposals(segments[kept], scores[kept], None if labels is None else labels[kept])
