"""Clips of trimmed actions for stage 1: which stored frames of an action form a clip, in training
and test.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lofi_jax.data.loader import clips
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.data.record import Record
from lofi_jax.fidelity import Fidelity

# Clips of a segment whose probabilities are averaged in test, as usual on Kinetics.
TEST_CLIPS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Action:
    """One segment of a video.

    Attributes:
        record: the video.
        instance: the segment's number in it.
    """

    record: Record
    instance: int

    @property
    def label(self) -> int:
        """Its class's place in the class names."""
        return int(self.record.labels[self.instance])


@dataclasses.dataclass(frozen=True)
class Drawing:
    """How a clip is drawn from the stored frames of an action.

    Attributes:
        name: "snippet": one stored snippet; "dense": frames a fixed stride apart, from anywhere in
            the action; "uniform": the action in as many equal parts as a clip has frames, one frame
            of each (TSN's).
        frames: of a clip, and of a stored snippet.
        stride: of "dense", in stored frames.
        rate: stored snippets a second; 0: a fixed number spread over the video.
    """

    name: str
    frames: int
    stride: int
    rate: float

    def shown(self, action: Action) -> tuple[int, int]:
        """The first and the end (exclusive) of the stored frames that show an action, or of its
        whole snippets.
        """
        record = action.record
        step = self.frames if self.name == "snippet" else 1
        stored = len(record.frames) // step
        covered = record.duration
        if self.rate:
            covered = len(record.frames) // self.frames / self.rate
        start, end = record.segments[action.instance] / covered * stored
        centres = np.arange(stored) + 0.5
        inside = np.flatnonzero((centres >= start) & (centres <= end))
        if not len(inside):
            inside = np.array([np.abs(centres - (start + end) / 2).argmin()])
        return int(inside[0]) * step, (int(inside[-1]) + 1) * step

    def at_random(self, begin: int, end: int, rng: np.random.Generator) -> np.ndarray:
        """The frames of a random clip of an action; see `clip`."""
        if self.name == "uniform":
            return self.clip(begin, end, rng.random(self.frames))
        possible = self._possible(begin, end)
        return self.clip(begin, end, (rng.integers(possible) + 0.5) / possible)

    def clip(self, begin: int, end: int, where: float | np.ndarray) -> np.ndarray:
        """The frames of one clip of an action.

        Args:
            begin, end: as `shown` gives them.
            where: in [0, 1), which of all possible clips; of "uniform", which frame of each part,
                for all or (frames,).

        Returns:
            (frames,) int64, ascending; an action that is too short for a dense clip ends with its
            last frame repeated.
        """
        if self.name == "uniform":
            parts = np.arange(self.frames) + where
            numbers = begin + np.floor(parts * (end - begin) / self.frames).astype(int)
            return np.minimum(numbers, end - 1)  # rounding may reach the end
        chosen = int(where * self._possible(begin, end))
        if self.name == "snippet":
            return begin + chosen * self.frames + np.arange(self.frames)
        return np.minimum(begin + chosen + np.arange(self.frames) * self.stride, end - 1)

    def _possible(self, begin: int, end: int) -> int:
        """How many clips there are to choose from, for "snippet" and "dense"."""
        if self.name == "snippet":
            return (end - begin) // self.frames
        return max(end - begin - (self.frames - 1) * self.stride, 1)


class Actions:
    """Random access to every segment of every video."""

    def __init__(self, records: RandomAccess[Record], counts: Sequence[int]):
        """Takes videos and how many segments each has."""
        self._records = records
        self._places = [(i, k) for i, count in enumerate(counts) for k in range(count)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Action:
        number, instance = self._places[i]
        return Action(self._records[number], instance)


@dataclasses.dataclass(frozen=True)
class TrainingClip:
    """An action as a trimmed clip: frames of it, drawn at random, and its label."""

    fidelity: Fidelity
    drawing: Drawing
    augmentation: clips.Augmentation
    seed: int

    def map_with_index(self, index: int, action: Action) -> clips.Example:
        rng = np.random.default_rng([self.seed, index])
        crop = self.augmentation.crop(action.record.size, self.fidelity, rng)
        begin, end = self.drawing.shown(action)
        numbers = self.drawing.at_random(begin, end, rng)
        changes = self.augmentation.changes.draw(rng)
        clip = clips.Clip(action.record, numbers, self.fidelity, crop, changes)
        return {"frames": clip, "label": np.int32(action.label)}


@dataclasses.dataclass(frozen=True)
class TestClips:
    """An action as `TEST_CLIPS` clips, evenly spread over it, centre crop: (clips, T, H, W, 3)."""

    __test__ = False  # no test of pytest's

    fidelity: Fidelity
    drawing: Drawing

    def map_with_index(self, index: int, action: Action) -> clips.Example:
        crop = clips.NONE.crop(action.record.size, self.fidelity, np.random.default_rng(0))
        begin, end = self.drawing.shown(action)
        spread = (np.arange(TEST_CLIPS) + 0.5) / TEST_CLIPS
        numbers = np.stack([self.drawing.clip(begin, end, where) for where in spread])
        return {
            "frames": clips.Clip(action.record, numbers, self.fidelity, crop),
            "label": np.int32(action.label),
        }
