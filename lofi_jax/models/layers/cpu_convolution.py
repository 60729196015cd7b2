"""Convolutions in the forms that XLA's CPU backend is fast at (jax 0.10.2), chosen by shape."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from lofi_jax.models.layers import winograd

# Pixels a side.
_SMALL = 3
# Outputs a channel. With fewer, XLA's transpose of the kernel, which the image's gradient needs,
# takes as long as the sum itself.
_FEW = 2


def convolve(
    x: Float[Array, "N ..."], kernel: Float[Array, "..."], strides, padding, **options
) -> Float[Array, "N ..."]:
    """Does what `lax.conv_general_dilated` does, for an `nn.Conv` without dilation.

    A one-pixel kernel becomes one product; XLA's convolution takes 2 to 4 times as long.

    An output of 3 x 3 or less, or of few pixels in all, as in the last stage at low fidelity,
    becomes one product for each pixel of the kernel. Of 2 x 2 or less XLA would swap image and
    kernel, for which its CPU backend has no fast path (100 times slower).

    Large 3 x 3 kernels use `winograd`. The rest use XLA's forward pass and the backward pass of
    `_back`.

    One over time as well becomes one of images: see `_over_time`.
    """
    if options["feature_group_count"] == 1:
        if max(kernel.shape[:-2]) == 1 and (isinstance(padding, str) or not np.any(padding)):
            kept = tuple(slice(None, None, stride) for stride in strides)
            return x[:, *kept] @ kernel.reshape(kernel.shape[-2:])
        if x.ndim == 5 and not isinstance(padding, str):
            return _over_time(x, kernel, strides, padding, **options)
        if x.ndim == 4 and not isinstance(padding, str):
            if _is_small(x, kernel, strides, padding):
                return _by_pixels(x, kernel, strides, padding)
            # In a shard_map this makes the shared kernel vary over devices, as the images do, so
            # that JAX sums its gradient.
            kernel += 0 * lax.stop_gradient(x[0, 0, 0, 0])
            if winograd.suits(x, kernel, strides, padding):
                return _by_winograd(x, kernel)
            return _convolve(x, kernel, tuple(strides), tuple(padding))
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)


def _over_time(x, kernel, strides, padding, **options):
    """A convolution of (N, T, H, W, C) as one of images, in which the frames that the kernel spans
    lie side by side as channels.

    XLA takes 2 to 4 times as long for the library's. What the kernel sees of the padding alone, as
    where few frames are left, is no part of it.
    """
    frames, moments = x.shape[1], kernel.shape[0]
    stride, (before, after) = strides[0], padding[0]
    out = (frames + before + after - moments) // stride + 1
    last = stride * (out - 1)
    seen = [
        i
        for i in range(moments)
        if any(0 <= i - before + k < frames for k in range(0, last + 1, stride))
    ]
    x = jnp.pad(x, ((0, 0), (before, after), (0, 0), (0, 0), (0, 0)))
    x = jnp.concatenate([x[:, i : i + last + 1 : stride] for i in seen], axis=-1)
    kernel = jnp.concatenate([kernel[i] for i in seen], axis=2)
    images = x.reshape(-1, *x.shape[2:])
    y = convolve(images, kernel, strides[1:], padding[1:], **options)
    return y.reshape(x.shape[0], out, *y.shape[1:])


def _out(x, kernel, strides, padding) -> list[int]:
    """The output's height and width."""
    sizes = zip(x.shape[1:3], padding, kernel.shape[:2], strides, strict=True)
    return [(n + sum(pad) - k) // s + 1 for n, pad, k, s in sizes]


def _is_small(x, kernel, strides, padding) -> bool:
    height, width = _out(x, kernel, strides, padding)
    few = len(x) * height * width < _FEW * max(kernel.shape[2:])
    return max(height, width) <= _SMALL or (few and max(kernel.shape[:2]) <= 3)


def _by_pixels(x, kernel, strides, padding):
    """One product for each pixel of the kernel with what it sees of the image, which in an image of
    2 x 2 is less than half of what it sees of image and padding.
    """
    sizes = _out(x, kernel, strides, padding)
    parts = []
    for tap in np.ndindex(kernel.shape[:2]):
        axes = zip(tap, x.shape[1:3], sizes, strides, padding, strict=True)
        rows, columns = (_seen(*axis) for axis in axes)
        if rows and columns:
            product = x[:, rows[0], columns[0]] @ kernel[tap]
            parts.append(jnp.pad(product, ((0, 0), rows[1], columns[1], (0, 0))))
    return functools.reduce(jnp.add, parts)


def _seen(
    tap: int, size: int, out: int, stride: int, padding: tuple[int, int]
) -> tuple[slice, tuple[int, int]] | None:
    """What a pixel of the kernel sees of the image along one axis, and how many outputs before and
    after that see padding; None: all of them.
    """
    at = tap - padding[0]
    inside = [k for k in range(out) if 0 <= at + k * stride < size]
    if not inside:
        return None
    first, last = inside[0], inside[-1]
    pixels = slice(at + first * stride, at + last * stride + 1, stride)
    return pixels, (first, out - 1 - last)


_IMAGES = ("NHWC", "HWIO", "NHWC")


_by_winograd = jax.custom_vjp(winograd.convolve)


def _back_by_winograd(kept, gradient):
    x, kernel = kept
    of_kernel = winograd.kernel_gradient(x, kernel, gradient)
    return winograd.image_gradient(kernel, gradient), of_kernel


_by_winograd.defvjp(
    lambda x, kernel: (winograd.convolve(x, kernel), (x, kernel)), _back_by_winograd
)


def _plain(x, kernel, strides, padding):
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_IMAGES)


_convolve = jax.custom_vjp(_plain, nondiff_argnums=(2, 3))


def _back(strides, padding, kept, gradient):
    """The gradients of image and kernel, as convolutions with the forward pass's dimension order.

    XLA's CPU backend is fast in that order only. It transposes others to it outside of loops, but
    not inside: in a chunked encoder the kernel's gradient took 60 times as long.
    """
    x, kernel = kept
    pads, back_pads = [], []
    sizes = zip(x.shape[1:3], gradient.shape[1:3], kernel.shape[:2], strides, padding, strict=True)
    for size, out, window, stride, (low, _) in sizes:
        reach = (out - 1) * stride + 1
        pads.append((low, window - 1 + reach - size - low))
        back_pads.append((window - 1 - low, size - reach + low))
    of_x = lax.conv_general_dilated(
        gradient,
        kernel[::-1, ::-1].swapaxes(2, 3),
        (1, 1),
        back_pads,
        lhs_dilation=strides,
        dimension_numbers=_IMAGES,
    )
    of_kernel = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        gradient.transpose(1, 2, 0, 3),
        (1, 1),
        pads,
        rhs_dilation=strides,
        dimension_numbers=_IMAGES,
    )
    return of_x, of_kernel.transpose(1, 2, 0, 3)


_convolve.defvjp(lambda x, kernel, *at: (_plain(x, kernel, *at), (x, kernel)), _back)
