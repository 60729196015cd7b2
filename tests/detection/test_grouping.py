"""Class scores grouped to segments, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lofi_jax.detection.grouping import group


def found(*curves, most=0, least=0.05):
    """Label, start and end in steps, and score, of each segment of some classes' curves."""
    scores = np.array(curves, np.float64).T
    proposals = group(scores, most, least)
    steps = (proposals.segments * len(scores)).round(6)
    return [
        (label, *segment, pytest.approx(score, abs=1e-9))
        for label, segment, score in zip(
            proposals.known_labels.tolist(), steps.tolist(), proposals.scores, strict=True
        )
    ]


def test_neighbouring_steps_above_the_thresholds_are_one_segment():
    assert found([0, 0, 0.8, 0.8, 0.8, 0, 0, 0]) == [(0, 2, 5, 0.8)]


def test_the_whole_video_and_its_ends_may_be_segments():
    assert found([0.5, 0.5, 0.5]) == [(0, 0, 3, 0.5)]
    assert found([0.9, 0.9, 0, 0, 0, 0.7]) == [(0, 0, 2, 0.9), (0, 5, 6, 0.7)]


def test_what_stands_out_more_is_kept_of_two_that_overlap():
    # Contrasts: steps 2 to 4 0.9 - 0.1 = 0.8; 6 to 8 0.5 - 0.1 / 2 = 0.45, as there is nothing
    # after the video; all eight, above 0.1 of the peak, 3.2 / 8 = 0.4.
    curve = [0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.5, 0.5]
    assert found(curve) == [(0, 2, 4, 0.9), (0, 6, 8, 0.5)]


def test_a_rise_and_a_fall_belong_to_the_segment():
    # Contrasts: steps 1 to 6 0.54; 2 to 5 0.7 - 0.3 = 0.4; 3 to 4 0.9 - 0.6 = 0.3.
    assert found([0, 0.3, 0.6, 0.9, 0.6, 0.3, 0]) == [(0, 1, 6, 0.54)]


def test_classes_overlap_and_come_in_the_order_of_their_scores():
    curves = [0, 0.25, 0.25, 0], [0, 0.75, 0.75, 0.75], [0, 0, 0, 0]
    assert found(*curves) == [(1, 1, 4, 0.75), (0, 1, 3, 0.25)]


def test_faint_segments_are_left_out_but_for_the_best_classes():
    strong, faint, fainter = [0.9, 0, 0.1, 0], [0, 0.04, 0, 0.02], [0.01, 0, 0, 0]
    assert found(strong, faint, fainter, least=0.2) == [(0, 0, 1, 0.9)]
    assert found(strong, faint, fainter, most=2) == [
        (0, 0, 1, 0.9),
        (0, 2, 3, 0.1),
        (1, 1, 2, 0.04),
    ]
    assert found(strong, faint, fainter, most=5, least=0.2) == [
        (0, 0, 1, 0.9),
        (1, 1, 2, 0.04),
        (2, 0, 1, 0.01),
    ]


def test_nothing_gives_nothing():
    assert found([0, 0, 0], most=5) == []


@given(arrays.arrays(np.float64, (9, 3), elements=st.floats(0, 1, width=16)))
def test_segments_of_a_class_lie_apart_inside_the_video(scores):
    proposals = group(scores, 2, 0.1)
    start, end = proposals.segments.T
    assert (start >= 0).all() and (start < end).all() and (end <= 1).all()
    assert (np.diff(proposals.scores) <= 0).all()
    for label in range(3):
        own = np.sort(proposals.segments[proposals.known_labels == label], axis=0)
        assert (own[1:, 0] >= own[:-1, 1]).all()
        assert (proposals.scores[proposals.known_labels == label] <= scores[:, label].max()).all()
