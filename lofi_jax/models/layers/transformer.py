"""The layers of video transformers as functions of their parameters, which a loop over equal blocks
can stack.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.models.layers.gelu import gelu

Tree = Any

_EPSILON = 1e-6


def dense(params: Tree, x: Float[Array, "... C"]) -> Float[Array, "... D"]:
    """A matrix product and a bias, in the inputs' dtype."""
    return x @ params["kernel"].astype(x.dtype) + params["bias"].astype(x.dtype)


def norm(params: Tree, x: Float[Array, "... C"]) -> Float[Array, "... C"]:
    """Layer normalisation over channels, in float32 (epsilon 1e-6)."""
    y = x.astype(jnp.float32)
    y = y - y.mean(axis=-1, keepdims=True)
    y = y * jax.lax.rsqrt(jnp.square(y).mean(axis=-1, keepdims=True) + _EPSILON)
    return (y * params["scale"] + params["bias"]).astype(x.dtype)


def mlp(params: Tree, x: Float[Array, "... C"]) -> Float[Array, "... C"]:
    """Two layers with an exact GELU between them."""
    hidden = gelu(dense(params["fc1"], x))
    return dense(params["fc2"], hidden)


def block(
    params: Tree,
    x: Float[Array, "N tokens C"],
    attend: Callable[[Tree, Float[Array, "N tokens C"]], Float[Array, "N tokens C"]],
    factors: Float[Array, "N branches"] | None = None,
) -> Float[Array, "N tokens C"]:
    """A pre-norm block: attention, then an MLP, each added to what it is given.

    Args:
        params: of `fresh_block`.
        attend: maps the attention's parameters and normalised tokens to tokens.
        factors: what multiplies each sample's two branches; see `drop_path.factors`.
    """

    def scaled(branch, number):
        if factors is None:
            return branch
        return branch * factors[:, number, None, None].astype(branch.dtype)

    x = x + scaled(attend(params["attn"], norm(params["norm1"], x)), 0)
    return x + scaled(mlp(params["mlp"], norm(params["norm2"], x)), 1)


def fresh_dense(key: PRNGKeyArray, inputs: int | tuple[int, ...], outputs: int) -> Tree:
    """Fresh parameters of `dense`: a truncated normal of deviation 0.02, no bias."""
    shape = (*((inputs,) if isinstance(inputs, int) else inputs), outputs)
    kernel = 0.02 * jax.random.truncated_normal(key, -2.0, 2.0, shape)
    return {"kernel": kernel, "bias": jnp.zeros(outputs)}


def fresh_norm(width: int) -> Tree:
    """Fresh parameters of `norm`."""
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}


def fresh_mlp(key: PRNGKeyArray, width: int, hidden: int) -> Tree:
    """Fresh parameters of `mlp`."""
    first, second = jax.random.split(key)
    return {"fc1": fresh_dense(first, width, hidden), "fc2": fresh_dense(second, hidden, width)}


def fresh_block(key: PRNGKeyArray, attention: Tree, width: int, hidden: int) -> Tree:
    """Fresh parameters of `block`, but its attention's, which are given."""
    return {
        "norm1": fresh_norm(width),
        "attn": attention,
        "norm2": fresh_norm(width),
        "mlp": fresh_mlp(key, width, hidden),
    }


def patches_of(
    frames: Real[AnyArray, "B F H W 3"], size: tuple[int, int, int]
) -> Real[AnyArray, "B times rows columns pixels"]:
    """Cuts frames into patches of `size` = (t, h, w) frames and pixels.

    A row of pixels stays whole until then, for a TPU's memory; see `chunked.encode`.
    """
    videos, (t, h, w) = len(frames), size
    times, rows, columns = (n // part for n, part in zip(frames.shape[1:4], size, strict=True))
    x = frames.reshape(videos, times, t, rows, h, columns, w * 3)
    return x.transpose(0, 1, 3, 5, 2, 4, 6).reshape(videos, times, rows, columns, -1)
