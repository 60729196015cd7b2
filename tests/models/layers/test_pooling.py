"""Max-pooling by halves against the library's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.models.layers import pooling


def library(x):
    return nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))


@pytest.mark.parametrize("shape", [(2, 8, 6, 3), (1, 7, 9, 2), (1, 1, 2, 1)])
def test_values_and_gradients_are_those_of_the_library(shape):
    x = jax.random.normal(jax.random.key(0), shape) - 3
    weights = jax.random.normal(jax.random.key(1), library(x).shape)
    np.testing.assert_array_equal(pooling.halved(x, (1, 2)), library(x))
    ours, theirs = (
        jax.jit(jax.grad(lambda x, pool=pool: (pool(x) * weights).sum()))(x)
        for pool in (lambda x: pooling.halved(x, (1, 2)), library)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_equally_large_entries_share_the_gradient():
    gradient = jax.grad(lambda x: pooling.halved(x, (0,)).sum())(jnp.ones(5))
    np.testing.assert_allclose(gradient.sum(), 3)
    assert (gradient > 0).all()


def test_the_way_back_holds_no_indices():
    def temporaries(pool):
        def of(x):
            return pool(nn.relu(x)).sum()

        program = jax.jit(jax.grad(of)).lower(jnp.zeros((4, 32, 32, 16))).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(lambda x: pooling.halved(x, (1, 2))) < 0.6 * temporaries(library)


@pytest.mark.parametrize(
    ("window", "strides"),
    [((1, 3, 3), (1, 2, 2)), ((3,) * 3, (2,) * 3), ((2,) * 3, (2,) * 3), ((3,) * 3, (1,) * 3)],
)
@pytest.mark.parametrize("size", [(1, 3, 4), (5, 6, 7)])
def test_as_tensorflow_pads(window, strides, size):
    """Values and gradients are those of the library."""
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))

    def both(pool):
        def weighted(x):
            y = pool(x)
            return jnp.sum(jnp.cos(jnp.arange(y.size)).reshape(y.shape) * y), y

        gradient, y = jax.jit(jax.grad(weighted, has_aux=True))(x)
        return y, gradient

    ours, our_gradient = both(lambda x: pooling.same(x, window, strides))
    library, library_gradient = both(lambda x: nn.max_pool(x, window, strides, "SAME"))
    np.testing.assert_array_equal(ours, library)
    np.testing.assert_allclose(our_gradient, library_gradient, atol=1e-6)
