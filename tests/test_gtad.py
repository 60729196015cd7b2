"""The G-TAD head: shapes, what it can learn, and finite numbers whatever the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lofi_jax.models import gtad

HEAD = gtad.GTAD(channels=16, widths=(16, 16, 16, 16), bins=(4, 2), groups=4, actionness=True)


def batch(segments, snippets=12, dim=8):
    """A batch of one video whose features tell inside from outside."""
    centres = (np.arange(snippets) + 0.5) / snippets
    inside = np.zeros(snippets)
    for start, end in segments:
        inside[(centres > start) & (centres < end)] = 1
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1, snippets, dim)).astype(np.float32)
    features[..., 0] += 3 * inside
    padded = np.zeros((1, 3, 2), np.float32)
    padded[0, : len(segments)] = np.array(segments).reshape(-1, 2)
    valid = np.arange(3)[None] < len(segments)
    return {"features": jnp.asarray(features), "segments": padded, "valid": valid}


def loss_of(params, batch, key=0):
    outputs = HEAD.apply(params, batch["features"])
    return gtad.loss(outputs, batch, jax.random.key(key))


@pytest.mark.parametrize("segments", [[], [(0.0, 1.0)], [(0.3, 0.3001)], [(0.1, 0.5), (0.4, 0.9)]])
@pytest.mark.parametrize("snippets", [1, 2, 12])
def test_loss_and_gradients_are_finite_whatever_the_batch(segments, snippets):
    data = batch(segments, snippets)
    params = HEAD.init(jax.random.key(0), data["features"])
    (value, terms), gradient = jax.value_and_grad(loss_of, has_aux=True)(params, data)
    assert np.isfinite(value) and set(terms) >= {"start", "end", "classification", "regression"}
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_the_default_head_has_the_published_shapes():
    shapes = jax.eval_shape(gtad.GTAD().init, jax.random.key(0), jnp.zeros((1, 100, 400)))
    kernel = shapes["params"]["align"]["kernel"]
    assert kernel.shape == (256, 36, 512)
    outputs = jax.eval_shape(gtad.GTAD().apply, shapes, jnp.zeros((2, 100, 400)))
    assert outputs["start"].shape == (2, 100) and outputs["regression"].shape == (2, 5050)


def test_one_head_serves_every_number_of_snippets():
    params = HEAD.init(jax.random.key(0), jnp.zeros((1, 12, 8)))
    for snippets in (1, 3, 24):
        outputs = HEAD.apply(params, jnp.zeros((2, snippets, 8)))
        assert outputs["classification"].shape == (2, snippets * (snippets + 1) // 2)


def test_it_learns_to_find_the_segments_of_a_video():
    segments = [(1 / 12, 4 / 12), (6 / 12, 10 / 12)]
    data = batch(segments)
    params = HEAD.init(jax.random.key(0), data["features"])
    optimizer = optax.adam(1e-2)
    memory = optimizer.init(params)

    @jax.jit
    def step(params, memory, i):
        gradient = jax.grad(lambda p: loss_of(p, data, i)[0])(params)
        updates, memory = optimizer.update(gradient, memory)
        return optax.apply_updates(params, updates), memory

    for i in range(150):
        params, memory = step(params, memory, i)
    outputs = jax.tree.map(np.asarray, HEAD.apply(params, data["features"]))
    found, scores = gtad.proposals(outputs)[0]
    best = found[np.argsort(-scores)[:2]]
    np.testing.assert_allclose(sorted(best.tolist()), segments, atol=1e-6)
    everything, confidence = gtad.proposals(outputs, use_boundaries=False)[0]
    assert len(everything) == 78 and len(found) < 78
    np.testing.assert_allclose(everything[confidence.argmax()], best[0], atol=1 / 12 + 1e-6)


def test_neighbours_are_the_nearest_in_feature_space_with_the_snippet_itself_first():
    x = jnp.array([[0.0], [10.0], [0.4], [10.3], [0.1]])[None]
    index = gtad.neighbours(x, 3)[0]
    np.testing.assert_array_equal(index[:, 0], np.arange(5))
    assert set(index[0].tolist()) == {0, 2, 4} and set(index[1, :2].tolist()) == {1, 3}
