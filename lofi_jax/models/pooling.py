"""Max-pooling over windows of three at stride two, as the stems have it, with a cheap way back."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def halved(x: Float[Array, "..."], axes: Sequence[int]) -> Float[Array, "..."]:
    """The largest of each entry and its two neighbours, for every second entry along each of the axes.

    As `nn.max_pool` with windows of three, stride two and a padding of one. But XLA goes back through that by looking
    for each window's largest entry once more and scattering to it, which takes several times the work and memory of
    this. Entries that are equally large share the gradient.
    """
    for axis in axes:
        x = _halved(x, axis)
    return x


def _halved(x, axis: int):
    """Windows along one axis."""
    windows = (x.shape[axis] + 1) // 2
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 2 * windows - x.shape[axis])
    x = jnp.pad(x, padding, constant_values=-jnp.inf)
    first, second, third = (
        lax.slice_in_dim(x, k, k + 2 * windows - 1, stride=2, axis=axis) for k in range(3)
    )
    return jnp.maximum(jnp.maximum(first, second), third)
