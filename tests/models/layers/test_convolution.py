"""Convolutions as products against the library's, values and gradients."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from lofi_jax.models.layers import convolution, winograd
from lofi_jax.training.sharding import DATA, make_mesh, over_mesh


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "size",
    [
        *[(2, 1), (5, 7), (12, 9)],
        *[pytest.param(s, marks=pytest.mark.slow) for s in [(1, 1), (2, 2), (3, 4), (4, 4)]],
    ],
)
def test_values_and_gradients_are_those_of_the_library(size, stride, kernel):
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    padding = "SAME" if kernel == 1 else kernel // 2
    library = nn.Conv(4, (kernel, kernel), (stride, stride), padding=padding)
    ours = library.clone(conv_general_dilated=convolution.convolve)
    params = library.init(jax.random.key(1), x)

    def of(conv):
        def loss(params, x):
            y = conv.apply(params, x)
            return jnp.sin(y).sum(), y

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(params, x)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), of(ours), of(library))


@pytest.mark.parametrize(
    ("size", "stride", "kernel"),
    [
        ((1, 5, 4), 1, (3, 3, 3)),
        ((2, 2, 2), 1, (3, 3, 3)),
        ((3, 4, 4), 2, (3, 3, 3)),
        ((9, 5, 6), 2, (7, 7, 7)),
        ((4, 6, 5), 1, (3, 1, 1)),
    ],
)
def test_over_time_too(size, stride, kernel):
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    padding = lax.padtype_to_pads(size, kernel, 3 * (stride,), "SAME")
    library = nn.Conv(4, kernel, 3 * (stride,), padding=padding)
    ours = library.clone(conv_general_dilated=convolution.convolve)
    params = library.init(jax.random.key(1), x)

    def of(conv):
        def loss(params, x):
            y = conv.apply(params, x)
            return jnp.sin(y).sum(), y

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(params, x)

    def same(a, b):
        np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max())

    jax.tree.map(same, of(ours), of(library))


def lowered(function, platform, *args):
    """The program that a platform's compiler is given."""
    return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize(
    ("kernel", "size", "groups", "convolves"),
    [
        ((3, 3), (2, 2), 1, False),
        ((3, 3), (3, 3), 1, False),
        ((3, 3), (4, 4), 1, True),
        ((1, 1), (9, 9), 1, False),
        ((1, 1), (9, 9), 2, True),
        ((1, 1, 1), (4, 9, 9), 1, False),
        ((3, 1), (2, 1), 1, False),
    ],
)
def test_small_images_and_kernels_of_one_pixel_are_products(kernel, size, groups, convolves):
    padding = [k // 2 for k in kernel]
    conv = nn.Conv(
        4,
        kernel,
        padding=padding,
        feature_group_count=groups,
        conv_general_dilated=convolution.convolve,
    )
    x = jnp.zeros((1, *size, 2))
    params = conv.init(jax.random.key(0), x)
    program = lowered(conv.apply, "cpu", params, x)
    assert ("stablehlo.convolution" in program) == convolves


@pytest.mark.parametrize("stride", [1, 2])
def test_few_pixels_of_many_channels_are_products(stride):
    x = jax.random.normal(jax.random.key(0), (1, 6, 5, 16))
    conv = nn.Conv(32, (3, 3), (stride, stride), padding=1)
    ours = conv.clone(conv_general_dilated=convolution.convolve)
    params = conv.init(jax.random.key(1), x)
    assert "stablehlo.convolution" not in lowered(ours.apply, "cpu", params, x)

    def gradients(conv):
        return jax.jit(jax.grad(lambda *given: jnp.sum(jnp.sin(conv.apply(*given))), (0, 1)))

    found, wanted = gradients(ours)(params, x), gradients(conv)(params, x)
    for ours_, theirs in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(ours_, theirs, atol=1e-5)


def test_large_ones_alone_are_winograds():
    padded = (1, 1), ((1, 1), (1, 1))

    def suits(*shape, channels, size=3):
        x = jax.ShapeDtypeStruct((*shape, channels), jnp.float32)
        kernel = jax.ShapeDtypeStruct((size, size, channels, channels), jnp.float32)
        return winograd.suits(x, kernel, *padded)

    assert suits(64, 28, 28, channels=64)  # of a ResNet-18 at 112 pixels
    assert not suits(256, 8, 8, channels=32)  # of the default run's network
    assert not suits(64, 28, 28, channels=64, size=5)
    assert not suits(4000, 28, 28, channels=16)


def test_large_ones_change_no_gradient_in_chunks_nor_on_devices():
    conv = nn.Conv(128, (3, 3), padding=1, conv_general_dilated=convolution.convolve)
    library = conv.clone(conv_general_dilated=lax.conv_general_dilated)
    images = jax.random.normal(jax.random.key(0), (32, 14, 14, 128))
    params = conv.init(jax.random.key(1), images[:1])
    assert winograd.suits(images[:16], params["params"]["kernel"], (1, 1), ((1, 1), (1, 1)))

    def gradient(encode):
        loss = lambda params: jnp.sum(jnp.sin(encode(params, images)))  # noqa: E731
        return jax.jit(jax.grad(loss))(params)

    def in_chunks(params, x):
        apply = jax.checkpoint(lambda part: conv.apply(params, part))
        return lax.map(apply, x.reshape(2, 16, *x.shape[1:]))

    expected = gradient(library.apply)
    for found in (gradient(in_chunks), gradient(over_mesh(conv.apply, make_mesh(2, 1), DATA))):
        for ours, theirs in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=3e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 7, 9), (5, 8, 5), (4, 28, 28)])
@pytest.mark.parametrize("channels", [(32, 32), (48, 32)])
def test_large_ones_of_3_x_3_are_those_of_the_library(shape, channels):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (*shape, channels[0]))
    kernel = jax.random.normal(keys[1], (3, 3, *channels))
    weights = jax.random.normal(keys[2], (*shape, channels[1]))

    @jax.jit
    def ours(x, kernel, weights):
        return (
            winograd.convolve(x, kernel),
            winograd.image_gradient(kernel, weights),
            winograd.kernel_gradient(x, kernel, weights),
        )

    @jax.jit
    def library(x, kernel, weights):
        form = ("NHWC", "HWIO", "NHWC")
        y, back = jax.vjp(
            lambda x, kernel: lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=form
            ),
            x,
            kernel,
        )
        return y, *back(weights)

    given = x, kernel, weights
    for found, expected in zip(ours(*given), library(*given), strict=True):
        assert jnp.abs(found - expected).max() < 3e-5 * jnp.abs(expected).max()


def test_on_the_cpu_every_convolution_of_a_chunk_has_the_fast_form():
    conv = nn.Conv(4, (3, 3), padding=1, conv_general_dilated=convolution.convolve)
    chunks = jnp.zeros((2, 3, 8, 8, 5))
    params = conv.init(jax.random.key(0), chunks[0])

    def loss(params, chunks):
        return jnp.sin(jax.lax.map(lambda x: conv.apply(params, x), chunks)).sum()

    if jax.default_backend() != "cpu":
        pytest.skip("JAX runs on another device")
    both = jax.jit(jax.grad(loss, argnums=(0, 1)))
    program = both.lower(params, chunks).compile().as_text()
    forms = re.findall(r" convolution\(.*dim_labels=(\S+?),", program)
    assert len(forms) >= 3 and set(forms) == {"b01f_01io->b01f"}


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 1, 8), (3, 2, 2), (1, 1, 8), (1, 2, 8)])
def test_elsewhere_every_convolution_has_the_form_of_the_library(platform, kernel, stride, size):
    padding = "SAME" if kernel == 1 else kernel // 2
    library = nn.Conv(4, (kernel, kernel), (stride, stride), padding=padding)
    ours = library.clone(conv_general_dilated=convolution.convolve)
    x = jnp.zeros((3, size, size, 5))
    params = library.init(jax.random.key(0), x)

    def forms(conv):
        both = jax.grad(lambda *at: jnp.sin(conv.apply(*at)).sum(), argnums=(0, 1))
        program = lowered(both, platform, params, x)
        assert "stablehlo.dot" not in program
        return sorted(re.findall(r"stablehlo.convolution.*(dim_numbers = .*), window", program))

    assert len(forms(library)) == 3 and forms(ours) == forms(library)
