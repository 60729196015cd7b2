"""Convolutions of small pictures against the library's, values and gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.models import small_conv


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 1), (3, 4), (4, 4), (5, 7)])
def test_values_and_gradients_are_those_of_the_library(size, stride):
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    library = nn.Conv(4, (3, 3), (stride, stride), padding=1)
    ours = library.clone(conv_general_dilated=small_conv.convolve)
    params = library.init(jax.random.key(1), x)

    def of(conv):
        def loss(params, x):
            y = conv.apply(params, x)
            return jnp.sin(y).sum(), y

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(params, x)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), of(ours), of(library))


def test_a_small_picture_takes_no_convolution():
    def program(size):
        conv = nn.Conv(4, (3, 3), padding=1, conv_general_dilated=small_conv.convolve)
        return str(jax.make_jaxpr(conv.init)(jax.random.key(0), jnp.zeros((1, size, size, 3))))

    assert "conv_general_dilated" not in program(2)
    assert "conv_general_dilated" in program(3)


def test_kernels_of_one_pixel_are_left_alone():
    x = jax.random.normal(jax.random.key(0), (2, 2, 2, 3))
    library = nn.Conv(4, (1, 1), (2, 2))
    params = library.init(jax.random.key(1), x)
    ours = library.clone(conv_general_dilated=small_conv.convolve)
    np.testing.assert_array_equal(ours.apply(params, x), library.apply(params, x))
