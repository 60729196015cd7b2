"""Between stages 2 and 3: extract every video's features at full fidelity."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from lofi_jax.data.loader import clips
from lofi_jax.data.loader.window_clips import Pieces
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.data.record import Record
from lofi_jax.devices.shared_programs import shared
from lofi_jax.fidelity import Fidelity
from lofi_jax.models.pixel_rows import unfolded
from lofi_jax.models.protocols import Encoder
from lofi_jax.training.networks import Chunks, encode_videos
from lofi_jax.training.sharding import DATA, replicate, shard_batch


class FullFidelityEncoder:
    """Maps frames of any number of videos to features, on all devices of a mesh."""

    def __init__(
        self, encoder: Encoder, variables: dict[str, Any], mesh: Mesh, batch_size: int, chunk: int
    ):
        """Takes a trained encoder, the videos per batch, and the snippets in memory at once."""
        self._mesh, self._variables = mesh, replicate(variables, mesh)
        self._encode = shared(jit_encode(encoder, mesh, chunk))
        devices = mesh.shape[DATA]
        self._batch = -(-batch_size // devices) * devices

    def __call__(self, frames: UInt8[np.ndarray, "B L T H W 3"]) -> Float[np.ndarray, "B L C"]:
        missing = self._batch - len(frames)
        padded = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        sharded = shard_batch({"frames": padded}, self._mesh)["frames"]
        return np.asarray(self._encode(self._variables, sharded))[: len(frames)]


def jit_encode(encoder: Encoder, mesh: Mesh, chunk: int) -> jax.stages.Wrapped:
    """A jitted function (encoder variables, frames as `shard_batch` lays them out) -> features
    (B, L, C).
    """
    encode = encode_videos(encoder, mesh, Chunks(chunk))
    return jax.jit(lambda variables, rows: encode(variables, unfolded(rows)))


def encode(
    records: RandomAccess[Record],
    lengths: Sequence[int],
    full: Fidelity,
    frames: int,
    encoder: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
) -> Iterator[Float[np.ndarray, "n C"]]:
    """The features of each video, in order. Videos longer than the full fidelity are encoded in
    pieces.

    Args:
        records: stored videos.
        lengths: how many snippets each has.
        frames: T, of a snippet.
        encoder: frames to features, such as a `FullFidelityEncoder`.
        batch_size: videos, or pieces of them, at once.
    """
    whole = clips.WholeVideo(lambda index: full, frames, 0, clips.NONE, 0)
    pieces = Pieces(records, lengths, full.snippets, frames)
    batches = clips.evaluation_batches(pieces, whole, batch_size)
    encoded = (x for batch in batches for x in encoder(batch["frames"]))
    for length, several in zip(lengths, pieces.counts, strict=True):
        yield np.concatenate(list(itertools.islice(encoded, several)))[:length]
