"""A transformer's equal blocks over the clips of a window, in the memory of a few clips.

The blocks' parameters are stacked, depth first: one compiled loop runs them all. Blocks treat
clips by themselves; adapters mix time over the whole window. So the loop is over depth: in each
block over chunks of clips, whose activations are recomputed in the backward pass, then the adapter
on the whole sequence. What stays in memory are each block's and each adapter's inputs; gradients
are exact.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.errors import UserError
from lofi_jax.models.layers import adapters

Tree = Any
# (parameters of one block or adapter, tokens of clips (N, tokens, C)) -> (N, tokens, C)
Layer = Callable[[Tree, Float[Array, "N tokens C"]], Float[Array, "N tokens C"]]


def stacked(make: Callable[[PRNGKeyArray], Tree], depth: int) -> Callable[[PRNGKeyArray], Tree]:
    """A function (key) -> fresh parameters of `depth` layers, stacked, of the one for one layer."""
    return lambda key: jax.vmap(make)(jax.random.split(key, depth))


def over_clips(function, x: Real[AnyArray, "N ..."], chunk: int):
    """Applies a function that treats clips by themselves, `chunk` clips at a time.

    Args:
        function: (n, ...) -> (n, ...), differentiable in what it closes over.
        chunk: divides N; 0: all at once.

    Raises:
        UserError: the chunk does not divide the clips.
    """
    if chunk == 0:
        return function(x)
    if len(x) % chunk:
        raise UserError(
            f"a chunk of {chunk} clips does not divide the {len(x)} a device holds: change"
            " config.joint.chunk, or in the stage extract config.extract.chunk"
        )
    out = jax.lax.map(jax.checkpoint(function), x.reshape(-1, chunk, *x.shape[1:]))
    return out.reshape(len(x), *out.shape[2:])


def run(
    block: Layer,
    blocks: Tree,
    x: Float[Array, "N tokens C"],
    grid: tuple[int, int, int],
    adapter: str,
    adapting: Tree,
    chunk: int = 0,
    remat: bool = False,
) -> Float[Array, "N tokens C"]:
    """Runs all blocks with one of the `protocols.ADAPTERS`.

    Args:
        blocks, adapting: the stacked parameters of blocks and adapters.
        x: the tokens of all clips of all videos, each clip's by time, then by place.
        grid: (videos, times, places) of these tokens.
        adapter: the kind.
        chunk, remat: as in `through`.
    """

    def added(params, x):
        return adapters.added(params, x.reshape(*grid, -1)).reshape(x.shape)

    if adapter == "side":
        return beside(block, blocks, x, added, adapting, chunk)
    inside = (lambda params, x: x + added(params, x)) if adapter == "tia" else None
    return through(block, blocks, x, chunk, remat, inside, adapting)


def through(
    block: Layer,
    blocks: Tree,
    x: Float[Array, "N tokens C"],
    chunk: int = 0,
    remat: bool = False,
    adapter: Layer | None = None,
    adapting: Tree = None,
) -> Float[Array, "N tokens C"]:
    """Runs all blocks, after each its adapter if there is one.

    Args:
        blocks, adapting: the stacked parameters of blocks and adapters.
        chunk: clips in memory at once; 0: all, with no loop over depth.
        remat: keep only each block's input, not its adapter's.
    """

    def layer(x, params):
        own, its_adapter = params
        x = over_clips(lambda clips: block(own, clips), x, chunk)
        if adapter is not None:
            x = (jax.checkpoint(adapter) if chunk else adapter)(its_adapter, x)
        return x, None

    one = jax.checkpoint(layer) if remat else layer
    return jax.lax.scan(one, x, (blocks, adapting), unroll=chunk == 0)[0]


def beside(
    block: Layer,
    blocks: Tree,
    x: Float[Array, "N tokens C"],
    adapter: Layer,
    adapting: Tree,
    chunk: int = 0,
) -> Float[Array, "N tokens C"]:
    """The blocks' output plus what adapters make of the outputs of the last blocks, as many as
    there are adapters. No gradient enters the blocks.

    Args:
        adapter: gives what it adds.
        blocks, adapting, chunk: as in `through`.
    """
    blocks = jax.lax.stop_gradient(blocks)
    first = len(jax.tree.leaves(blocks)[0]) - len(jax.tree.leaves(adapting)[0])
    lower, upper = (
        jax.tree.map(lambda p: p[:first], blocks),
        jax.tree.map(lambda p: p[first:], blocks),
    )
    x = jax.lax.stop_gradient(through(block, lower, x, chunk))

    def layer(carry, params):
        x, total = carry
        own, its_adapter = params
        x = over_clips(lambda clips: block(own, clips), x, chunk)
        more = (jax.checkpoint(adapter) if chunk else adapter)(its_adapter, x)
        return (x, total + more), None

    (x, total), _ = jax.lax.scan(
        layer, (x, jnp.zeros_like(x)), (upper, adapting), unroll=chunk == 0
    )
    return x + total
