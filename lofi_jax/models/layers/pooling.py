"""Max-pooling with a cheap backward pass: over windows of three with stride two, as in the stems,
and as TensorFlow pads.
"""

import functools
from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def halved(x: Float[Array, "..."], axes: Sequence[int]) -> Float[Array, "..."]:
    """The largest of each entry and its two neighbours, for every second entry along each of the
    axes.

    As `nn.max_pool` with windows of three, stride two and a padding of one. But in the backward
    pass of that, XLA searches each window's maximum again and scatters to it, which takes several
    times the work and memory. Equal maxima share the gradient.
    """
    for axis in axes:
        x = _halved(x, axis)
    return x


def _halved(x, axis: int):
    """Windows along one axis: the middle of each is the first of a pair of entries."""
    windows = (x.shape[axis] + 1) // 2
    x = _padded(x, axis, 0, 2 * windows - x.shape[axis])
    # No strided slices, for which compilers generate long programs: a TPU's takes 3 times as long.
    pairs = x.reshape(*x.shape[:axis], windows, 2, *x.shape[axis + 1 :])
    middle, after = (lax.index_in_dim(pairs, k, axis + 1, keepdims=False) for k in range(2))
    before = lax.slice_in_dim(_padded(after, axis, 1, 0), 0, windows, axis=axis)
    return jnp.maximum(jnp.maximum(before, middle), after)


def same(
    x: Float[Array, "N ... C"], window: Sequence[int], strides: Sequence[int]
) -> Float[Array, "N ... C"]:
    """As `nn.max_pool` with padding "SAME", for every window and stride of one or more entries;
    the backward pass is that of `halved`.

    Args:
        window, strides: along each axis between the first and the last one, no stride longer than
            its window.
    """
    for axis, (size, stride) in enumerate(zip(window, strides, strict=True), start=1):
        if size > 1:
            x = _same(x, axis, size, stride)
    return x


def _same(x, axis: int, window: int, stride: int):
    """Windows along one axis, from groups of as many entries as the stride: no strided slices."""
    size = x.shape[axis]
    out = -(-size // stride)
    groups = out + (window - 1) // stride
    before = max((out - 1) * stride + window - size, 0) // 2
    x = _padded(x, axis, before, groups * stride - size - before)
    x = x.reshape(*x.shape[:axis], groups, stride, *x.shape[axis + 1 :])
    each = [lax.index_in_dim(x, k, axis + 1, keepdims=False) for k in range(stride)]
    entries = (
        lax.slice_in_dim(each[k % stride], k // stride, k // stride + out, axis=axis)
        for k in range(window)
    )
    return functools.reduce(jnp.maximum, entries)


def _padded(x, axis: int, before: int, after: int):
    padding = [(0, 0)] * x.ndim
    padding[axis] = (before, after)
    return jnp.pad(x, padding, constant_values=-jnp.inf)
