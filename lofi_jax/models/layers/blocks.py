"""A transformer's equal blocks over the clips of a window, in the memory of a few clips.

The blocks' parameters are stacked, depth first: one compiled loop runs them all. Blocks treat
clips by themselves; adapters mix time over the whole window. So the loop is over depth: in each
block over chunks of clips, whose activations are recomputed in the backward pass, then the adapter
on the whole sequence. What stays in memory are each block's and each adapter's inputs; gradients
are exact.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from lofi_jax.errors import UserError
from lofi_jax.models.layers import adapters

Tree = Any
# (parameters of a block, tokens of clips (N, tokens, C), factors=(N, 2) of its branches or None) ->
# (N, tokens, C)
Block = Callable[..., Float[Array, "N tokens C"]]
# (parameters of an adapter, tokens (N, tokens, C)) -> (N, tokens, C)
Adapter = Callable[[Tree, Float[Array, "N tokens C"]], Float[Array, "N tokens C"]]


class Layers(NamedTuple):
    """What layers differ in, stacked depth first.

    Attributes:
        blocks, adapters: their parameters; an adapter follows each of the last blocks, as many as
            there are adapters, or there are none.
        factors: of the blocks' residual branches; see `drop_path.factors`.
    """

    blocks: Tree
    adapters: Tree = None
    factors: Float[Array, "depth N branches"] | None = None


def stacked(make: Callable[[PRNGKeyArray], Tree], depth: int) -> Callable[[PRNGKeyArray], Tree]:
    """A function (key) -> fresh parameters of `depth` layers, stacked, of the one for one layer."""
    return lambda key: jax.vmap(make)(jax.random.split(key, depth))


def over_clips(function, x: Tree, chunk: int):
    """Applies a function that treats clips by themselves, `chunk` clips at a time.

    Args:
        function: (n, ...) -> (n, ...), differentiable in what it closes over.
        x: an array (N, ...), or several.
        chunk: divides N; 0: all at once.

    Raises:
        UserError: the chunk does not divide the clips.
    """
    if chunk == 0:
        return function(x)
    clips = len(jax.tree.leaves(x)[0])
    if clips % chunk:
        raise UserError(
            f"a chunk of {chunk} clips does not divide the {clips} a device holds: change"
            " config.joint.chunk, or in the stage extract config.extract.chunk"
        )
    parts = jax.tree.map(lambda y: y.reshape(-1, chunk, *y.shape[1:]), x)
    out = jax.lax.map(jax.checkpoint(function), parts)
    return out.reshape(clips, *out.shape[2:])


def run(
    block: Block,
    layers: Layers,
    x: Float[Array, "N tokens C"],
    grid: tuple[int, int, int],
    adapter: str,
    chunk: int = 0,
    remat: bool = False,
) -> Float[Array, "N tokens C"]:
    """Runs all blocks with one of the `protocols.ADAPTERS`.

    Args:
        x: the tokens of all clips of all videos, each clip's by time, then by place.
        grid: (videos, times, places) of these tokens.
        adapter: the kind.
        chunk, remat: as in `through`.
    """

    def added(params, x):
        return adapters.added(params, x.reshape(*grid, -1)).reshape(x.shape)

    if adapter == "side":
        return beside(block, layers, x, added, chunk)
    if adapter == "tia":
        lower, layers = _split(layers)
        x = through(block, lower, x, chunk, remat)
        return through(block, layers, x, chunk, remat, lambda params, x: x + added(params, x))
    return through(block, layers, x, chunk, remat)


def through(
    block: Block,
    layers: Layers,
    x: Float[Array, "N tokens C"],
    chunk: int = 0,
    remat: bool = False,
    adapter: Adapter | None = None,
) -> Float[Array, "N tokens C"]:
    """Runs all blocks, after each its adapter if there is one.

    Args:
        chunk: clips in memory at once; 0: all, with no loop over depth.
        remat: keep only each block's input, not its adapter's.
    """
    if not len(jax.tree.leaves(layers.blocks)[0]):
        return x

    def layer(x, own):
        x = _apply(block, own, x, chunk)
        if adapter is not None:
            x = (jax.checkpoint(adapter) if chunk else adapter)(own.adapters, x)
        return x, None

    one = jax.checkpoint(layer) if remat else layer
    return jax.lax.scan(one, x, layers, unroll=chunk == 0)[0]


def beside(
    block: Block,
    layers: Layers,
    x: Float[Array, "N tokens C"],
    adapter: Adapter,
    chunk: int = 0,
) -> Float[Array, "N tokens C"]:
    """The blocks' output plus what adapters make of the outputs of the last blocks. No gradient
    enters the blocks.

    Args:
        adapter: gives what it adds.
        chunk: as in `through`.
    """
    lower, upper = _split(layers._replace(blocks=jax.lax.stop_gradient(layers.blocks)))
    x = jax.lax.stop_gradient(through(block, lower, x, chunk))

    def layer(carry, own):
        x, total = carry
        x = _apply(block, own, x, chunk)
        more = (jax.checkpoint(adapter) if chunk else adapter)(own.adapters, x)
        return (x, total + more), None

    (x, total), _ = jax.lax.scan(layer, (x, jnp.zeros_like(x)), upper, unroll=chunk == 0)
    return x + total


def _split(layers: Layers) -> tuple[Layers, Layers]:
    """The layers without adapters and the ones with, which come last."""
    alone = layers._replace(adapters=None)
    first = len(jax.tree.leaves(layers.blocks)[0]) - len(jax.tree.leaves(layers.adapters)[0])
    upper = jax.tree.map(lambda p: p[first:], alone)._replace(adapters=layers.adapters)
    return jax.tree.map(lambda p: p[:first], alone), upper


def _apply(block: Block, own: Layers, x, chunk: int):
    """One layer's block on all clips."""

    def of_clips(clips):
        tokens, factors = clips
        return block(own.blocks, tokens, factors=factors)

    return over_clips(of_clips, (x, own.factors), chunk)
