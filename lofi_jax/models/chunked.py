"""Joint training in the memory of a few snippets, with exact gradients.

The encoder treats snippets one by one (its BatchNorm is frozen in the joint stage), so a video's
features can be computed a chunk of snippets at a time, each chunk's activations discarded and
recomputed in the backward pass. The gradient is that of the plain computation; only one chunk's
activations are ever held. The head treats videos one by one, so the same holds for it and
microbatches.
"""

from collections.abc import Callable

import jax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.errors import UserError
from lofi_jax.models.layers.convolution import OUTPUT
from lofi_jax.models.pixel_rows import folded, unfolded

# The remat policies: what of a chunk is kept for its backward pass; see `encode`.
KEEPS = ("all", "convolutions", "blocks")


def encode(
    encoder: Callable[[Real[AnyArray, "N T H W 3"]], Float[Array, "N C"]],
    frames: Real[AnyArray, "B L T H W 3"],
    chunk: int,
    keep: str = "all",
    microbatches: int = 1,
) -> Float[Array, "B L C"]:
    """Encodes every snippet of a batch of videos, `chunk` snippets at a time.

    Args:
        encoder: a pure function of snippets, differentiable in what it closes over.
        frames: the batch; L, H and W at whatever fidelity.
        chunk: snippets in memory at once; must divide B x L. 0: a whole microbatch at once.
        keep: the remat policy, what of a chunk is kept for its backward pass: "all";
            "convolutions", whose outputs are most of the work, while the rest is recomputed; or
            "blocks", which an encoder made with remat=True does.
        microbatches: into which the batch is divided; divides B.

    Raises:
        UserError: the chunk does not divide the snippets.
    """
    videos, snippets = frames.shape[:2]
    frames = frames.reshape(videos * snippets, *frames.shape[2:])
    if keep == "convolutions":
        convolutions = jax.checkpoint_policies.save_only_these_names(OUTPUT)
        encoder = jax.checkpoint(encoder, policy=convolutions)
    if chunk == 0 and microbatches == 1:
        return encoder(frames).reshape(videos, snippets, -1)
    chunk = chunk or len(frames) // microbatches
    if len(frames) % chunk:
        raise UserError(
            f"a chunk of {chunk} snippets does not divide the {len(frames)} a device holds"
            f" ({videos} videos x {snippets} snippets): change config.joint.chunk, or in the"
            " stage extract config.extract.chunk"
        )

    @jax.checkpoint
    def of_rows(rows):
        # Or a TPU's compiler lays out all chunks as a convolution likes one, and holds them twice.
        rows = with_layout_constraint(rows, Layout(tuple(range(rows.ndim))))
        return encoder(unfolded(rows))

    rows = folded(frames.reshape(-1, chunk, *frames.shape[1:]))
    return jax.lax.map(of_rows, rows).reshape(videos, snippets, -1)


def in_microbatches(function, x, microbatches: int):
    """Applies a function of a batch, which treats its videos one by one, to its microbatches in
    turn.

    Each microbatch's activations are recomputed in the backward pass.

    Args:
        function: arrays out, each (B, ...).
        x: the batch, an array or several, each (B, ...).
        microbatches: divides B.
    """
    if microbatches == 1:
        return function(x)
    parts = jax.tree.map(lambda y: y.reshape(microbatches, -1, *y.shape[1:]), x)
    out = jax.lax.map(jax.checkpoint(function), parts)
    return jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:]), out)
