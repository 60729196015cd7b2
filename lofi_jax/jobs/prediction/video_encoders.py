"""The features of one video at a time, by the trained encoders that a row needs."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import jax
import numpy as np

from lofi_jax.config import full_fidelity
from lofi_jax.data.loader import clips
from lofi_jax.data.loader.window_clips import Pieces
from lofi_jax.data.record import Record
from lofi_jax.data.streamed.snippets import Stored
from lofi_jax.data.video.jpeg import Jpegs
from lofi_jax.run import checkpoints
from lofi_jax.run.networks import make_encoder_of, pieces
from lofi_jax.run.start import Run
from lofi_jax.stages.extract import FullFidelityEncoder
from lofi_jax.training.sharding import make_mesh

Parts = dict[str, np.ndarray]  # features (n, C) of each encoder


class VideoEncoders:
    """Encoders of a run by name, on the first local device, at full fidelity."""

    def __init__(self, run: Run, names: Sequence[str]):
        self._run = run
        self._names = tuple(names)
        self._made: dict[int, dict[str, FullFidelityEncoder]] = {}
        self._of(full_fidelity(run.config).snippets)  # so that a missing one is told at once

    def of_record(self, record: Record) -> Parts:
        """The features of a record, in pieces of the full fidelity's length."""
        return self._encode(record, full_fidelity(self._run.config).snippets)

    def of_snippets(self, snippets: Sequence[Sequence[Stored]], size: int) -> Parts:
        """The features of some snippets of a video file, in pieces of `size` snippets."""
        return self._encode(_record_of(snippets), size)

    def _encode(self, record: Record, size: int) -> Parts:
        full = dataclasses.replace(full_fidelity(self._run.config), snippets=size)
        frames = self._run.config.data.frames
        whole = clips.WholeVideo(lambda index: full, frames, 0, clips.NONE, 0)
        length = len(record.frames) // frames
        encoders = self._of(size)
        encoded = {name: [] for name in encoders}
        for piece in Pieces([record], [length], size, frames):
            clip = whole.map_with_index(0, piece)["frames"].read()
            for name, encode in encoders.items():
                encoded[name].append(encode(clip[None])[0])
        return {name: np.concatenate(rows)[:length] for name, rows in encoded.items()}

    def _of(self, size: int) -> dict[str, FullFidelityEncoder]:
        if size not in self._made:
            self._made[size] = {name: _encoder(self._run, name, size) for name in self._names}
        return self._made[size]


@functools.cache
def _first_device():
    return make_mesh(1, 1, jax.local_devices()[:1])


def _encoder(run: Run, name: str, snippets: int) -> FullFidelityEncoder:
    """A trained encoder for one piece of a video, of so many snippets, at a time."""
    full = dataclasses.replace(full_fidelity(run.config), snippets=snippets)
    chunk = math.gcd(run.config.extract.chunk, pieces(run.config, full))
    variables = checkpoints.encoder_variables(run, name)
    encoder = make_encoder_of(run.config, name)
    return FullFidelityEncoder(encoder, variables, _first_device(), 1, chunk)


def _record_of(snippets: Sequence[Sequence[Stored]]) -> Record:
    """Snippets of a video as a record."""
    frames = [frame for snippet in snippets for frame in snippet]
    height, width = frames[0].size
    return Record(frames=Jpegs(frame.jpeg for frame in frames), height=height, width=width)
