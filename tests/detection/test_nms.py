import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from suppression import soft_nms

from lofi_jax.detection import nms

TIMES = st.one_of(st.integers(0, 8).map(float), st.floats(0, 8, width=32))
PROPOSALS = st.lists(
    st.tuples(TIMES, TIMES, st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1))),
    max_size=12,
)


def literal_tiou(a, b):
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    return overlap / ((b[1] - b[0]) + (a[1] - a[0]) - overlap) if overlap > 0 else 0.0


def literal_nms(segments, scores, sigma, top_k, method, threshold, min_score):
    left = dict(enumerate(scores))
    picks, lowered = [], []
    while left and len(picks) < top_k:
        best = max(left, key=lambda index: (left[index], -index))
        score = left.pop(best)
        if score <= min_score:
            break
        picks.append(best)
        lowered.append(score)
        for index in left:
            overlap = literal_tiou(segments[best], segments[index])
            if method == "gaussian":
                left[index] *= np.exp(-overlap * overlap / sigma)
            elif overlap > threshold:
                left[index] *= 1 - overlap if method == "linear" else 0
    return picks, lowered


def test_tiou_by_hand():
    a = [[0, 10], [5, 15], [3, 3], [9, 4]]
    b = [[0, 10], [20, 30], [0, 40], [3, 3]]
    expected = [[1, 0, 0.25, 0], [1 / 3, 0, 0.25, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(nms.tiou(np.array(a), np.array(b)), expected, rtol=1e-15)


def test_tiou_of_nothing():
    assert nms.tiou(np.zeros((0, 2)), np.zeros((3, 2))).shape == (0, 3)


def test_gaussian_by_hand():
    # The second overlaps the first by 5 of 10 and falls under the third, which overlaps nothing.
    segments = np.array([[0.0, 10.0], [0.0, 5.0], [20.0, 30.0]])
    indices, scores = soft_nms(segments, np.array([0.9, 0.8, 0.6]), sigma=0.5, top_k=3)
    assert indices.tolist() == [0, 2, 1]
    assert scores.tolist() == pytest.approx([0.9, 0.6, 0.8 * math.exp(-(0.5**2) / 0.5)], rel=1e-14)


def literal_bmn_nms(segments, scores, alpha, low, high, top_k):
    """BMN's own: it ends when one proposal is left."""
    left, picks = dict(enumerate(scores)), []
    while len(left) > 1 and len(picks) < top_k:
        best = max(left, key=left.get)
        picks.append((best, left.pop(best)))
        width = segments[best][1] - segments[best][0]
        for i in left:
            overlap = literal_tiou(segments[best], segments[i])
            if overlap > low + (high - low) * width:
                left[i] *= np.exp(-(overlap**2) / alpha)
    return picks


def test_a_floor_that_grows_with_the_width_is_bmns():
    rng = np.random.default_rng(0)
    segments, scores = np.sort(rng.random((200, 2)), axis=1), rng.random(200)
    indices, lowered = soft_nms(segments, scores, 0.4, 50, floor=(0.5, 0.9))
    expected = literal_bmn_nms(segments, scores, 0.4, 0.5, 0.9, 50)
    assert indices.tolist() == [index for index, _ in expected]
    np.testing.assert_allclose(lowered, [score for _, score in expected], rtol=1e-12)
    assert indices.tolist() != soft_nms(segments, scores, 0.4, 50)[0].tolist()


def test_the_floor_by_hand():
    # A tIoU of 0.6 with one of width 0.1 is over 0.54, one of 0.8 with one of width 1 is not over
    # 0.9.
    for scale, kept in ((0.1, 0.6), (1.0, 0.8)):
        pair = np.array([[0.0, 1.0], [0.0, kept]]) * scale
        _, scores = soft_nms(pair, np.array([0.9, 0.5]), 0.4, 2, floor=(0.5, 0.9))
        lowered = 0.5 * math.exp(-(0.6**2) / 0.4) if scale < 1 else 0.5
        assert sorted(scores.tolist()) == pytest.approx([lowered, 0.9], rel=1e-12)


def test_linear_and_hard_by_hand():
    segments = np.array([[0.0, 10.0], [0.0, 8.0], [0.0, 4.0]])
    scores = np.array([0.9, 0.8, 0.7])
    indices, lowered = soft_nms(segments, scores, 0.5, 3, "linear", threshold=0.5)
    assert indices.tolist() == [0, 2, 1]
    assert lowered.tolist() == pytest.approx([0.9, 0.7, 0.8 * (1 - 0.8)], rel=1e-14)
    indices, lowered = soft_nms(segments, scores, 0.5, 3, "hard", threshold=0.5)
    assert (indices.tolist(), lowered.tolist()) == ([0, 2], [0.9, 0.7])


def test_a_tiou_at_the_threshold_is_not_over_it():
    segments = np.array([[0.0, 10.0], [0.0, 5.0]])
    indices, _ = soft_nms(segments, np.array([1.0, 0.5]), 1.0, 2, "hard", threshold=0.5)
    assert indices.tolist() == [0, 1]


def test_ties_go_to_the_lower_index():
    segments = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    indices, _ = soft_nms(segments, np.array([0.5, 0.7, 0.5]), 0.5, 3)
    assert indices.tolist() == [1, 0, 2]


def test_stops_at_top_k_and_at_the_lowest_score():
    segments = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
    scores = np.array([0.9, 0.2, 0.1, 0.0])
    assert soft_nms(segments, scores, 0.5, 1)[0].tolist() == [0]
    assert soft_nms(segments, scores, 0.5, 9, min_score=0.1)[0].tolist() == [0, 1]
    assert soft_nms(segments, scores, 0.5, 9)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", nms.METHODS)
def test_nothing_in_nothing_out(method):
    indices, scores = soft_nms(np.zeros((0, 2)), np.zeros(0), 0.5, 10, method)
    assert indices.shape == scores.shape == (0,)
    assert (indices.dtype, scores.dtype) == (np.int64, np.float64)


def test_the_input_is_left_alone():
    segments, scores = np.array([[0.0, 2.0], [0.0, 2.0]]), np.array([0.5, 0.6])
    soft_nms(segments, scores, 0.5, 2)
    assert segments.tolist() == [[0, 2], [0, 2]]
    assert scores.tolist() == [0.5, 0.6]


@pytest.mark.parametrize("score", [-0.1, math.nan, math.inf])
def test_scores_that_cannot_be_ordered_are_refused(score):
    with pytest.raises(ValueError, match="finite and 0 or above"):
        soft_nms(np.zeros((2, 2)), np.array([0.5, score]), 0.5, 2)


def test_bad_method_and_sigma_are_refused():
    with pytest.raises(ValueError, match="unknown NMS method 'soft'"):
        soft_nms(np.zeros((1, 2)), np.ones(1), 0.5, 1, "soft")
    with pytest.raises(ValueError, match="sigma above 0"):
        soft_nms(np.zeros((1, 2)), np.ones(1), 0.0, 1)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(
    proposals=PROPOSALS,
    method=st.sampled_from(nms.METHODS),
    sigma=st.floats(0.1, 2),
    threshold=st.sampled_from([0.0, 0.25, 0.5, 0.8]),
    top_k=st.integers(0, 14),
    min_score=st.sampled_from([0.0, 0.25]),
)
def test_equals_the_literal_definition(proposals, method, sigma, threshold, top_k, min_score):
    rows = np.array(proposals).reshape(-1, 3)
    segments, scores = rows[:, :2], rows[:, 2]
    arguments = (segments, scores, sigma, top_k, method, threshold, min_score)
    indices, lowered = soft_nms(*arguments)
    expected_indices, expected_lowered = literal_nms(*arguments)
    assert indices.tolist() == expected_indices
    np.testing.assert_allclose(lowered, expected_lowered, rtol=1e-12, atol=0)
    assert np.all(np.diff(lowered) <= 0)


def all_proposals(length):
    start, end = np.triu_indices(length)
    return np.stack([start, end + 1], axis=1).astype(np.float64)


@pytest.mark.parametrize("method", nms.METHODS)
def test_equals_the_literal_definition_on_a_dense_map(method):
    segments = all_proposals(24)
    scores = np.random.default_rng(3).random(len(segments))
    arguments = (segments, scores, 0.84, 40, method, 0.5, 0.0)
    indices, lowered = soft_nms(*arguments)
    expected_indices, expected_lowered = literal_nms(*arguments)
    assert indices.tolist() == expected_indices
    np.testing.assert_allclose(lowered, expected_lowered, rtol=1e-12)


def test_voting_by_hand():
    segments = np.array([[0.0, 10.0], [0.0, 8.0], [0.0, 2.0]])
    scores = np.array([1.0, 0.5, 1.0])
    voted = nms.vote(segments[:1], segments, scores, threshold=0.5)
    weights = 1.0, 0.5 * 0.8
    np.testing.assert_allclose(voted, [[0, (10 * weights[0] + 8 * weights[1]) / sum(weights)]])


def test_voting_by_score_alone_by_hand():
    segments = np.array([[0.0, 10.0], [0.0, 8.0], [0.0, 2.0]])
    scores = np.array([1.0, 0.5, 1.0])
    voted = nms.vote(segments[:1], segments, scores, threshold=0.5, by="score")
    np.testing.assert_allclose(voted, [[0, (10 * 1.0 + 8 * 0.5) / 1.5]])


def test_voting_leaves_a_segment_that_nobody_votes_for():
    voted = nms.vote(np.array([[5, 5], [0, 1]]), np.array([[2.0, 8.0]]), np.array([1.0]), 0.5)
    assert voted.tolist() == [[5, 5], [0, 1]]
