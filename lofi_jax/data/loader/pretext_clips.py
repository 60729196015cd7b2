"""Clips that carry their own label, for self-supervised pretraining from time."""

import dataclasses

import numpy as np

from lofi_jax.data.loader import clips
from lofi_jax.data.record import Record
from lofi_jax.fidelity import Fidelity


@dataclasses.dataclass(frozen=True)
class ArrowOfTime:
    """A snippet's frames forwards (label 0) or backwards (label 1), at random."""

    fidelity: Fidelity
    frames: int
    augmentation: clips.Augmentation
    seed: int

    def map_with_index(self, index: int, record: Record) -> clips.Example:
        rng = np.random.default_rng([self.seed, index])
        crop = self.augmentation.crop(record.size, self.fidelity, rng)
        snippet = rng.integers(len(record.frames) // self.frames, size=1)
        numbers = snippet * self.frames + np.arange(self.frames)
        backwards = rng.random() < 0.5
        shown = numbers[::-1] if backwards else numbers
        changes = self.augmentation.changes.draw(rng)
        clip = clips.Clip(record, shown, self.fidelity, crop, changes)
        return {"frames": clip, "label": np.int32(backwards)}


@dataclasses.dataclass(frozen=True)
class SpeedNet:
    """As many frames as a snippet has, at the stored rate (label 0) or at twice it (label 1), at
    random.

    Needs two stored snippets per video, with equally spaced frames.
    """

    fidelity: Fidelity
    frames: int
    augmentation: clips.Augmentation
    seed: int

    def map_with_index(self, index: int, record: Record) -> clips.Example:
        rng = np.random.default_rng([self.seed, index])
        crop = self.augmentation.crop(record.size, self.fidelity, rng)
        rate = int(rng.integers(1, 3))
        first = rng.integers(len(record.frames) - rate * (self.frames - 1))
        chosen = first + rate * np.arange(self.frames)
        changes = self.augmentation.changes.draw(rng)
        clip = clips.Clip(record, chosen, self.fidelity, crop, changes)
        return {"frames": clip, "label": np.int32(rate - 1)}
