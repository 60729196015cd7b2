"""Convolutions of pictures that have become smaller than the kernel, as the last stage's do at low fidelity."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# A picture of 3 x 3 and more is no smaller than the largest kernel that the encoders end with.
SMALL = 2


def convolve(
    x: Float[Array, "N ..."], kernel: Float[Array, "..."], strides, padding, **options
) -> Float[Array, "N ..."]:
    """As `lax.conv_general_dilated`, for an `nn.Conv` of numbered padding.

    Where a picture comes out at 2 x 2 or less, XLA takes the kernel for the picture and the picture for the kernel, for
    which its CPU has no fast program (100 times slower, with jax 0.10.2). Such ones are a product for each of the
    kernel's pixels here.
    """
    if x.ndim != 4 or max(kernel.shape[:2]) == 1 or options["feature_group_count"] > 1:
        return lax.conv_general_dilated(x, kernel, strides, padding, **options)
    out = [
        (n + sum(pad) - k) // s + 1
        for n, pad, k, s in zip(x.shape[1:3], padding, kernel.shape[:2], strides, strict=True)
    ]
    if max(out) > SMALL:
        return lax.conv_general_dilated(x, kernel, strides, padding, **options)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    (height, width), (down, right) = out, strides
    return sum(
        x[:, i : i + down * height : down, j : j + right * width : right] @ kernel[i, j]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )
