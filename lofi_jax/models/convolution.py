"""Convolutions, written as matrix products where XLA is slow at convolving."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

# A picture of 3 x 3 and more is no smaller than the largest kernel that the encoders end with.
SMALL = 2


def convolve(
    x: Float[Array, "N ..."], kernel: Float[Array, "..."], strides, padding, **options
) -> Float[Array, "N ..."]:
    """As `lax.conv_general_dilated`, for an `nn.Conv` without dilation.

    A kernel of one pixel is one product: told to convolve, XLA's CPU takes 2 to 4 times as long (jax 0.10.2).

    Where a picture comes out at 2 x 2 or less, as the last stage's do at low fidelity, XLA takes the kernel for the
    picture and the picture for the kernel, for which its CPU has no fast program (100 times slower). Such ones are a
    product for each of the kernel's pixels.
    """
    if options["feature_group_count"] == 1:
        if max(kernel.shape[:-2]) == 1 and (isinstance(padding, str) or not np.any(padding)):
            kept = tuple(slice(None, None, stride) for stride in strides)
            return x[:, *kept] @ kernel.reshape(kernel.shape[-2:])
        if x.ndim == 4 and max(_out(x, kernel, strides, padding)) <= SMALL:
            return _by_pixels(x, kernel, strides, padding)
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)


def _out(x, kernel, strides, padding) -> list[int]:
    """The height and width that come out."""
    sizes = zip(x.shape[1:3], padding, kernel.shape[:2], strides, strict=True)
    return [(n + sum(pad) - k) // s + 1 for n, pad, k, s in sizes]


def _by_pixels(x, kernel, strides, padding):
    (height, width), (down, right) = _out(x, kernel, strides, padding), strides
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    return sum(
        x[:, i : i + down * height : down, j : j + right * width : right] @ kernel[i, j]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )
