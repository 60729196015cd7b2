"""Training targets of dense heads, worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.detection import targets
from lofi_jax.models.heads.alignment import anchors

SEGMENTS = jnp.array([[0.2, 0.6], [0.0, 0.0]])
VALID = jnp.array([True, False])


def test_anchor_iou_is_that_of_the_best_instance():
    cells = jnp.array([[0.2, 0.6], [0.0, 0.4], [0.6, 1.0], [0.0, 1.0]])
    ious = targets.anchor_ious(cells, SEGMENTS, VALID)
    np.testing.assert_allclose(ious, [1, 0.2 / 0.6, 0, 0.4], atol=1e-6)
    both = targets.anchor_ious(cells, jnp.array([[0.2, 0.6], [0.5, 1.0]]), jnp.array([True, True]))
    np.testing.assert_allclose(both, [1, 0.2 / 0.6, 0.8, 0.5], atol=1e-6)


def test_a_video_without_instances_has_no_positive_target():
    none = jnp.zeros(2, bool)
    assert not targets.anchor_ious(jnp.asarray(anchors(5) / 5), SEGMENTS, none).any()
    assert not targets.boundary_probabilities(SEGMENTS[:, 0], none, 5, 0.5).any()


def test_boundary_probability_is_the_covered_part_of_three_snippets():
    # Ten snippets of 0.1; a start at 0.45 opens the window 0.30 to 0.60.
    found = targets.boundary_probabilities(jnp.array([0.45]), jnp.array([True]), 10, 0.5)
    np.testing.assert_allclose(found, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0], atol=1e-5)
    found = targets.boundary_probabilities(jnp.array([0.40]), jnp.array([True]), 10, 0.5)
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1, 0.5, 0, 0, 0, 0], atol=1e-5)


@pytest.mark.parametrize("snippets", [7, 10, 100])
def test_a_snippet_is_positive_where_its_centre_lies_in_the_window(snippets):
    # On the grid a centre lies exactly at the window's edge, which float32 must not decide by
    # chance.
    for at in range(snippets + 1):
        boundary = np.float32(at / snippets)
        for centre, around in ((0.5, (at - 1, at)), (0.0, (at - 1, at, at + 1))):
            args = boundary[None], jnp.array([True]), snippets, centre
            found = np.flatnonzero(targets.boundary_probabilities(*args) > 0.5)
            np.testing.assert_array_equal(found, [i for i in around if 0 <= i < snippets])


@pytest.mark.parametrize("snippets", [1, 2, 7])
def test_the_anchors_are_all_pairs(snippets):
    pairs = {(s, e) for e in range(1, snippets + 1) for s in range(e)}
    assert {tuple(pair) for pair in anchors(snippets).tolist()} == pairs
