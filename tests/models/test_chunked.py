"""Chunked rematerialization: the same gradients in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.errors import UserError
from lofi_jax.models import chunked
from lofi_jax.models.encoders.tsm import TSM

ENCODER = TSM(stage_sizes=(1, 1), widths=(8, 16), stem="small", shift_div=4)


def gradient(chunk):
    def loss(params, batch_stats, frames):
        variables = {"params": params, "batch_stats": batch_stats}
        features = chunked.encode(lambda x: ENCODER.apply(variables, x), frames, chunk)
        return jnp.sum(jnp.sin(features) * jnp.arange(features.size).reshape(features.shape))

    return jax.value_and_grad(loss)


@pytest.mark.parametrize("chunk", [1, 3, 12])
def test_gradients_are_exact_at_any_chunk(chunk):
    frames = np.random.default_rng(0).integers(0, 256, (2, 6, 2, 8, 8, 3), np.uint8)
    variables = jax.jit(ENCODER.init)(jax.random.key(0), frames[0])
    args = (variables["params"], variables["batch_stats"], frames)
    expected, expected_gradient = jax.jit(gradient(0))(*args)
    value, found = jax.jit(gradient(chunk))(*args)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    largest = max(np.abs(x).max() for x in jax.tree.leaves(expected_gradient))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected_gradient), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * largest)


def temporaries(snippets, chunk):
    shapes = jax.eval_shape(ENCODER.init, jax.random.key(0), jnp.zeros((1, 4, 32, 32, 3)))
    frames = jax.ShapeDtypeStruct((1, snippets, 4, 32, 32, 3), jnp.uint8)
    lowered = jax.jit(gradient(chunk)).lower(shapes["params"], shapes["batch_stats"], frames)
    return lowered.compile().memory_analysis().temp_size_in_bytes


def test_memory_is_that_of_one_chunk():
    short, long = temporaries(20, 5), temporaries(80, 5)
    assert long < 1.5 * short
    assert temporaries(80, 0) > 5 * long


def test_a_chunk_that_does_not_divide_is_refused():
    with pytest.raises(UserError, match="chunk of 5 snippets does not divide the 12.*joint.chunk"):
        chunked.encode(lambda x: x, jnp.zeros((2, 6, 1, 2, 2, 3)), 5)
