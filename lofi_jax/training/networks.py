"""Encoder and head on batches that are sharded over devices."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray

from lofi_jax.devices import shared_programs
from lofi_jax.models import chunked, windows
from lofi_jax.models.layers.drop_path import Keys
from lofi_jax.models.protocols import Encoder, Head, Module, WindowEncoder
from lofi_jax.training.sharding import DATA, SNIPPET, over_mesh

Tree = Any


@dataclasses.dataclass(frozen=True)
class Chunks:
    """How much of a batch is in memory at once; see `windows.encode`.

    Attributes:
        size: snippets, or clips of an encoder of windows; 0: all.
        keep: the remat policy: what of a chunk is kept for its backward pass, one of
            `chunked.KEEPS`.
        microbatches: per batch.
    """

    size: int = 0
    keep: str = "all"
    microbatches: int = 1


def encode_videos(encoder: Encoder, mesh: Mesh, chunks: Chunks = Chunks()) -> Callable:
    """A function (encoder variables, frames (B, L, T, H, W, 3), keys=None) -> features (B, L, C),
    sharded over the mesh; a window stays on one device.

    The keys are those of `sample_keys`, in training.
    """

    def encode(variables, videos):
        frames, keys = videos
        how = (chunks.size, chunks.keep, chunks.microbatches, keys)
        return windows.encode(encoder, variables, frames, *how)

    axes = (DATA,) if isinstance(encoder, WindowEncoder) else (DATA, SNIPPET)
    spread = over_mesh(encode, mesh, *axes)
    return lambda variables, frames, keys=None: spread(variables, (frames, keys))


def apply_head(
    head: Head, dtype: str, params: Tree, features: Float[Array, "B L C"], keys: Keys = None
) -> Tree:
    """The head's raw outputs, computed in a dtype.

    Args:
        keys: of `sample_keys`, in training.
    """
    cast = jax.tree.map(lambda x: jnp.asarray(x, dtype), params)
    return head.apply({"params": cast}, features.astype(dtype), *(() if keys is None else (keys,)))


def apply_heads(head: Head, dtype: str, mesh: Mesh, microbatches: int = 1) -> Callable:
    """A function (head parameters, features (B, L, C), a step's key) -> raw outputs, sharded over
    the mesh by video.

    Devices that share a video all compute its whole length: the head is small.
    """

    def apply(params, videos):
        one = lambda x: apply_head(head, dtype, params, *x)  # noqa: E731
        return chunked.in_microbatches(one, videos, microbatches)

    spread = over_mesh(apply, mesh, DATA)
    return lambda params, features, key: spread(
        params, (features, sample_keys(head, key, len(features)))
    )


def sample_keys(module: Module, key: PRNGKeyArray, samples: int) -> Keys:
    """A key for each sample of a batch, if the module draws random numbers in training."""
    if not getattr(module, "stochastic", False):
        return None
    return jax.random.split(jax.random.fold_in(key, 1), samples)


def with_adapters(
    encoder: Encoder,
    variables: dict[str, Tree],
    shape: tuple[int, int, int, int],
    key: PRNGKeyArray,
) -> dict[str, Tree]:
    """An encoder's variables with fresh adapters, which change nothing yet, where it has some and
    they have none.

    Args:
        variables: the encoder's, or those of its backbone alone.
        shape: (T, H, W, 3) of a snippet.
    """
    adapted = isinstance(encoder, WindowEncoder) and encoder.adapter != "none"
    if not adapted or "adapters" in variables["params"]:
        return variables
    fresh = initial_variables(encoder, shape, key)["params"]["adapters"]
    return variables | {"params": {**variables["params"], "adapters": fresh}}


def feature_width(encoder: Encoder, shape: tuple[int, int, int, int]) -> int:
    """Channels of the encoder's features of a snippet (T, H, W, 3)."""
    frames = jax.ShapeDtypeStruct((1, *windows.example(encoder, shape)), jnp.uint8)
    features = jax.eval_shape(lambda x: encoder.init_with_output(jax.random.key(0), x)[0], frames)
    return features.shape[-1]


def initial_variables(
    encoder: Encoder, shape: tuple[int, int, int, int], key: Array
) -> dict[str, Tree]:
    """Fresh encoder variables, "params" and "batch_stats" (empty without BatchNorm), for snippets
    (T, H, W, 3).
    """
    frames = jnp.zeros((1, *windows.example(encoder, shape)), jnp.uint8)
    return {"batch_stats": {}, **shared_programs.initial(encoder.init, key, frames)}
