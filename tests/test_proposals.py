"""From probabilities to segments, worked by hand."""

import numpy as np

from lofi_jax.detection.proposals import boundary_candidates, dense_proposals
from lofi_jax.models.alignment import anchors


def test_candidates_are_peaks_and_whatever_passes_half_the_maximum():
    probability = np.array([0.3, 0.1, 0.2, 0.15, 0.9, 0.6, 0.1, 0.05])
    expected = [True, False, True, False, True, True, False, False]
    np.testing.assert_array_equal(boundary_candidates(probability), expected)


def test_a_flat_probability_makes_everything_a_candidate():
    assert boundary_candidates(np.full(4, 0.2)).all()


def test_scores_multiply_start_end_and_confidence():
    start, end = np.array([0.9, 0.0, 0.0]), np.array([0.0, 0.0, 0.8])
    confidence = np.linspace(0.1, 0.6, 6)
    segments, scores = dense_proposals(anchors(3), start, end, confidence)
    np.testing.assert_allclose(segments, [[0, 1]])
    np.testing.assert_allclose(scores, [0.9 * 0.8 * 0.6])


def test_without_boundaries_every_anchor_is_a_proposal():
    confidence = np.linspace(0.1, 0.6, 6)
    segments, scores = dense_proposals(anchors(3), np.zeros(3), np.zeros(3), confidence, False)
    np.testing.assert_allclose(segments, anchors(3) / 3)
    np.testing.assert_allclose(scores, confidence)
