"""Joint training in the memory of a few snippets, with exact gradients.

The encoder treats snippets one by one (its BatchNorm is frozen in the joint stage), so a video's features can be
computed a chunk of snippets at a time, each chunk's activations thrown away and recomputed on the way back. The
gradient is that of the plain computation; only one chunk's activations are ever held.
"""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, UInt8

from lofi_jax.errors import UserError


def encode(
    encoder: Callable[[UInt8[Array, "N T H W 3"]], Float[Array, "N C"]],
    frames: UInt8[Array, "B L T H W 3"],
    chunk: int,
) -> Float[Array, "B L C"]:
    """Encodes every snippet of a batch of videos, `chunk` snippets at a time.

    Args:
        encoder: a pure function of snippets, differentiable in what it closes over.
        frames: the batch; L, H and W at whatever fidelity.
        chunk: snippets in memory at once; must divide B x L. 0 takes all at once and keeps their activations.

    Raises:
        UserError: the chunk does not divide the snippets.
    """
    videos, snippets = frames.shape[:2]
    frames = frames.reshape(videos * snippets, *frames.shape[2:])
    if chunk == 0:
        return encoder(frames).reshape(videos, snippets, -1)
    if len(frames) % chunk:
        raise UserError(
            f"a chunk of {chunk} snippets does not divide the {len(frames)} a device holds"
            f" ({videos} videos x {snippets} snippets): change config.joint.chunk"
        )
    chunks = frames.reshape(-1, chunk, *frames.shape[1:])
    features = jax.lax.map(jax.checkpoint(encoder), chunks)
    return features.reshape(videos, snippets, -1)
