"""From probabilities to segments, worked by hand."""

import numpy as np
import pytest
from suppression import soft_nms

from lofi_jax.detection.nms import METHODS, vote
from lofi_jax.detection.proposals import (
    Proposals,
    Suppression,
    boundary_candidates,
    dense_proposals,
    suppress,
)
from lofi_jax.models.heads.alignment import anchors


def test_candidates_are_peaks_and_whatever_passes_half_the_maximum():
    probability = np.array([0.3, 0.1, 0.2, 0.15, 0.9, 0.6, 0.1, 0.05])
    expected = [True, False, True, False, True, True, False, False]
    np.testing.assert_array_equal(boundary_candidates(probability), expected)


def test_a_flat_probability_makes_everything_a_candidate():
    assert boundary_candidates(np.full(4, 0.2)).all()


def test_scores_multiply_start_end_and_confidence():
    start, end = np.array([0.9, 0.0, 0.0]), np.array([0.0, 0.0, 0.8])
    confidence = np.linspace(0.1, 0.6, 6)
    found = dense_proposals(anchors(3), start, end, confidence, select=True, weigh=True)
    # The end is read at the snippet that follows: of [0, 2) at the third.
    assert anchors(3)[3].tolist() == [0, 2]
    np.testing.assert_allclose(found.segments, [[0, 2 / 3]])
    np.testing.assert_allclose(found.scores, [0.9 * 0.8 * confidence[3]])
    assert found.labels is None


def literal_proposals(start, end, confidence, select, weigh):
    """G-TAD's and BMN's inference, one anchor after the other."""
    length = len(start)

    def candidates(p, always):
        chosen = {always}
        for i in range(1, length - 1):
            if (p[i] > p[i + 1] and p[i] > p[i - 1]) or p[i] > 0.5 * max(p):
                chosen.add(i)
        return chosen

    starts, ends = candidates(start, 0), candidates(end, length - 1)
    found = {}
    for (s, e), score in zip(anchors(length).tolist(), confidence, strict=True):
        if e < length and (not select or (s in starts and e in ends)):
            found[s, e] = score * start[s] * end[e] if weigh else score
    return found


@pytest.mark.parametrize("select", [False, True])
@pytest.mark.parametrize("weigh", [False, True])
@pytest.mark.parametrize("length", [1, 2, 9, 30])
def test_proposals_are_the_literal_ones(select, weigh, length):
    rng = np.random.default_rng(length)
    start, end = rng.random((2, length)) ** 3
    confidence = rng.random(length * (length + 1) // 2)
    found = dense_proposals(anchors(length), start, end, confidence, select, weigh)
    expected = literal_proposals(start, end, confidence, select, weigh)
    cells = [tuple(cell) for cell in np.rint(found.segments * length).astype(int).tolist()]
    assert dict(zip(cells, found.scores, strict=True)) == pytest.approx(expected)
    assert all(e < length for _, e in cells)


SEGMENTS = np.array([[0.0, 0.5], [0.0, 0.4], [0.6, 0.9], [0.1, 0.5]])
SCORES = np.array([0.5, 0.9, 0.6, 0.8])


def how(top_k, sigma=0.5, method="gaussian", threshold=0.5, vote=0.0):
    return Suppression(method, sigma, threshold, vote, top_k)


def test_suppression_without_classes_is_soft_nms():
    keep, scores = soft_nms(SEGMENTS, SCORES, 0.5, 3)
    (found,) = suppress([Proposals(SEGMENTS, SCORES)], how(3))
    np.testing.assert_array_equal(found.segments, SEGMENTS[keep])
    np.testing.assert_array_equal(found.scores, scores)
    assert found.labels is None


def test_suppression_hands_on_the_floor_and_the_least_score():
    one = Proposals(SEGMENTS, SCORES)
    (found,) = suppress([one], how(9)._replace(floor=(0.5, 0.9), min_score=0.7))
    keep, scores = soft_nms(SEGMENTS, SCORES, 0.5, 9, floor=(0.5, 0.9), min_score=0.7)
    np.testing.assert_array_equal(found.scores, scores)
    assert len(keep) == 2 < len(suppress([one], how(9))[0].scores)


def test_classes_do_not_suppress_each_other():
    (found,) = suppress([Proposals(SEGMENTS, SCORES, np.array([7, 2, 2, 4]))], how(10))
    np.testing.assert_array_equal(found.labels, [2, 4, 2, 7])
    np.testing.assert_array_equal(found.scores, [0.9, 0.8, 0.6, 0.5])
    np.testing.assert_array_equal(found.segments, SEGMENTS[[1, 3, 2, 0]])
    (same,) = suppress([Proposals(SEGMENTS, SCORES, np.full(4, 3))], how(2))
    np.testing.assert_array_equal(same.scores, soft_nms(SEGMENTS, SCORES, 0.5, 2)[1])


def test_suppression_of_nothing_is_nothing():
    none = Proposals(np.empty((0, 2)), np.empty(0), np.empty(0, int))
    (found,) = suppress([none], how(10))
    assert found.segments.shape == (0, 2) and len(found.scores) == len(found.labels) == 0
    assert suppress([], how(10)) == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labelled", [False, True])
def test_many_videos_at_once_are_as_one_after_the_other(method, labelled):
    rng = np.random.default_rng(0)
    found = []
    for count in (30, 0, 7, 55):
        segments = np.sort(rng.random((count, 2)), axis=1)
        labels = rng.integers(0, 3, count) if labelled else None
        found.append(Proposals(segments, rng.random(count), labels))
    suppression = how(10, method=method, vote=0.6)
    for video, together in zip(found, suppress(found, suppression), strict=True):
        # The definition: every class by itself, then the best of all.
        labels = np.zeros(len(video.scores), int) if video.labels is None else video.labels
        parts = []
        for label in np.unique(labels):
            of_class = np.flatnonzero(labels == label)
            segments, scores = video.segments[of_class], video.scores[of_class]
            keep, lowered = soft_nms(segments, scores, 0.5, 10, method)
            voted = vote(segments[keep], segments, scores, 0.6)
            parts += zip(lowered, voted.tolist(), [label] * len(keep), strict=True)
        parts = sorted(parts, key=lambda part: -part[0])[:10]
        np.testing.assert_array_equal(together.scores, [part[0] for part in parts])
        wanted = np.array([part[1] for part in parts]).reshape(-1, 2)
        np.testing.assert_allclose(together.segments, wanted, rtol=1e-12)
        if labelled:
            np.testing.assert_array_equal(together.labels, [part[2] for part in parts])


def test_classes_suppress_and_refine_each_other_only_where_told_to():
    segments = np.array([[0.0, 0.5], [0.0, 0.4]])
    found = Proposals(segments, np.array([0.9, 0.6]), np.array([0, 1]))
    (alone,) = suppress([found], how(2, vote=0.7))
    np.testing.assert_allclose(alone.segments, segments)
    np.testing.assert_allclose(alone.scores, [0.9, 0.6])
    together = how(2, vote=0.7)._replace(multiclass=False, vote_by="score")
    (merged,) = suppress([found], together)
    np.testing.assert_allclose(merged.scores, [0.9, 0.6 * np.exp(-(0.8**2) / 0.5)])
    np.testing.assert_allclose(merged.segments, [[0, (0.9 * 0.5 + 0.6 * 0.4) / 1.5]] * 2)
    assert merged.labels.tolist() == [0, 1]
