"""The G-TAD head: shapes, what it can learn, and finite numbers whatever the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from heads import check_finite, trained, video

from lofi_jax.models.heads import gtad

THIN = {"channels": 16, "widths": (16, 16, 16, 16), "bins": (4, 2), "groups": 4}
TERMS = {"start", "end", "classification", "regression"}


@pytest.mark.parametrize("snippets", [1, 7])
def test_loss_and_gradients_are_finite_whatever_the_batch(snippets):
    check_finite(gtad.GTAD(**THIN), snippets, TERMS)


@pytest.mark.slow
@pytest.mark.parametrize("snippets", [1, 7])
def test_so_they_are_with_convolutions_on_the_map(snippets):
    check_finite(gtad.GTAD(**THIN, max_duration=5, map_kernel=3), snippets, TERMS)


def test_the_default_head_has_the_published_shapes():
    shapes = jax.eval_shape(gtad.GTAD().init, jax.random.key(0), jnp.zeros((1, 100, 400)))
    kernel = shapes["params"]["align"]["kernel"]
    assert kernel.shape == (256, 36, 512)
    outputs = jax.eval_shape(gtad.GTAD().apply, shapes, jnp.zeros((2, 100, 400)))
    assert outputs["start"].shape == (2, 100) and outputs["regression"].shape == (2, 5050)


def test_the_thumos14_head_has_the_published_shapes():
    head = gtad.GTAD(bins=(16, 16), max_duration=64, map_kernel=3)
    shapes = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros((1, 256, 2048)))
    assert shapes["params"]["align"]["kernel"].shape == (256, 32, 512)
    assert shapes["params"]["map3"]["kernel"].shape == (3, 3, 128, 128)
    outputs = jax.eval_shape(head.apply, shapes, jnp.zeros((1, 256, 2048)))
    assert outputs["regression"].shape == (1, 256 * 64 - 64 * 63 // 2)


def test_one_head_serves_every_number_of_snippets():
    head = gtad.GTAD(**THIN)
    params = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros((1, 12, 8)))
    for snippets in (1, 3, 24):
        outputs = jax.eval_shape(head.apply, params, jnp.zeros((2, snippets, 8)))
        assert outputs["classification"].shape == (2, snippets * (snippets + 1) // 2)


@pytest.mark.slow
def test_the_train_step_on_features_is_small_at_full_size():
    """150 MB a video at 100 snippets is what the head may take."""
    head, batch = gtad.GTAD(), video([], snippets=100, dim=400)
    params = jax.eval_shape(head.init, jax.random.key(0), batch["features"])

    def loss(params):
        return head.loss(head.apply(params, batch["features"]), batch, jax.random.key(0))[0]

    compiled = jax.jit(jax.grad(loss)).lower(params).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 100e6


def test_it_learns_to_find_the_segments_of_a_video():
    segments = [(1 / 12, 4 / 12), (6 / 12, 10 / 12)]
    head = gtad.GTAD(**THIN)
    outputs, _ = trained(head, video(segments))
    found, scores, labels = head.proposals(outputs)[0]
    assert labels is None
    best = found[np.argsort(-scores)[:2]]
    np.testing.assert_allclose(sorted(best.tolist()), segments, atol=1e-6)
    # By the other rules every anchor is a proposal that ends before the video and is not too long.
    everything, confidence, _ = gtad.GTAD(**THIN, rules="thumos14").proposals(outputs)[0]
    assert len(everything) == 66 > len(found) and scores.max() == confidence.max()
    some = gtad.GTAD(**THIN, rules="thumos14", longest=4).proposals(outputs)[0]
    assert len(some.segments) == 11 + 10 + 9 + 8
    assert np.diff(some.segments).max() == pytest.approx(4 / 12)


def test_unknown_rules_are_an_error():
    with pytest.raises(TypeError, match="activitynet, thumos14"):
        gtad.GTAD(rules="hacs")


def test_neighbours_are_the_nearest_in_feature_space_with_the_snippet_itself_first():
    x = jnp.array([[0.0], [10.0], [0.4], [10.3], [0.1]])[None]
    index = gtad.neighbours(x, 3)[0]
    np.testing.assert_array_equal(index[:, 0], np.arange(5))
    assert set(index[0].tolist()) == {0, 2, 4} and set(index[1, :2].tolist()) == {1, 3}
