"""The temporal-informative adapter (AdaTAD, arXiv 2311.17241, section 3.3): a bottleneck with a
convolution over the time of a whole window.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from lofi_jax.models.layers.gelu import gelu

Tree = Any

_TAPS = 3


def make(key: PRNGKeyArray, width: int, ratio: int) -> Tree:
    """Fresh parameters, drawn as the authors' code draws them; the adapter then adds nothing.

    Args:
        width: channels of the tokens.
        ratio: of these to the bottleneck's.
    """
    inner = width // ratio
    down, depthwise, pointwise = jax.random.split(key, 3)
    normal = jax.random.normal
    return {
        "down": {
            "kernel": 0.02 * normal(down, (width, inner)),
            "bias": jnp.zeros(inner),
        },
        "depthwise": {
            "kernel": math.sqrt(2 / _TAPS) * normal(depthwise, (_TAPS, inner)),
            "bias": jnp.zeros(inner),
        },
        "pointwise": {
            "kernel": math.sqrt(2 / inner) * normal(pointwise, (inner, inner)),
            "bias": jnp.zeros(inner),
        },
        "up": {"kernel": jnp.zeros((inner, width)), "bias": jnp.zeros(width)},
        "scale": jnp.ones(1),
    }


def added(params: Tree, x: Float[Array, "B T S C"]) -> Float[Array, "B T S C"]:
    """What the adapter adds to the tokens of S places at T times, in their dtype."""
    dense = functools.partial(_dense, x.dtype)
    u = gelu(dense(params["down"], x))
    taps = params["depthwise"]["kernel"].astype(x.dtype)
    padded = jnp.pad(u, ((0, 0), (1, 1), (0, 0), (0, 0)))
    times = u.shape[1]
    mixed = sum(taps[k] * padded[:, k : k + times] for k in range(_TAPS))
    mixed = mixed + params["depthwise"]["bias"].astype(x.dtype)
    out = dense(params["up"], u + dense(params["pointwise"], mixed))
    return params["scale"].astype(x.dtype) * out


def _dense(dtype, params: Tree, x):
    return x @ params["kernel"].astype(dtype) + params["bias"].astype(dtype)
