"""Clips of trimmed actions for stage 1: which stored frames of an action form a clip, in training
and test.
"""

import dataclasses

import numpy as np

from lofi_jax.data.loader import clips
from lofi_jax.fidelity import Fidelity

# Clips of a video whose probabilities are averaged in test, as usual on Kinetics.
TEST_CLIPS = 10


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

    def action(self, record: clips.Record, instance: int) -> tuple[int, int]:
        """The first and the end (exclusive) of the stored frames that show an instance, or of its
        whole snippets.
        """
        step = self.frames if self.name == "snippet" else 1
        stored = len(record["frames"]) // step
        covered = float(record["duration"])
        if self.rate:
            covered = len(record["frames"]) // self.frames / self.rate
        segments = np.asarray(record["segments"]).reshape(-1, 2)
        start, end = segments[instance] / covered * stored
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
            begin, end: as `action` gives them.
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


@dataclasses.dataclass(frozen=True)
class TrainingClip:
    """A record as a trimmed clip: frames of one of its segments, drawn at random, and that
    segment's label.
    """

    fidelity: Fidelity
    drawing: Drawing
    augmentation: clips.Augmentation
    seed: int

    def map_with_index(self, index: int, record: clips.Record) -> clips.Example:
        rng = np.random.default_rng([self.seed, index])
        crop = self.augmentation.crop((record["height"], record["width"]), self.fidelity, rng)
        instance = int(rng.integers(len(record["labels"])))
        begin, end = self.drawing.action(record, instance)
        numbers = self.drawing.at_random(begin, end, rng)
        changes = self.augmentation.changes.draw(rng)
        clip = clips.Clip(record, numbers, self.fidelity, crop, changes)
        return {"frames": clip, "label": np.int32(record["labels"][instance])}


@dataclasses.dataclass(frozen=True)
class TestClips:
    """A record as `TEST_CLIPS` clips, evenly spread over its middle segment, centre crop: (clips,
    T, H, W, 3).
    """

    __test__ = False  # no test of pytest's

    fidelity: Fidelity
    drawing: Drawing

    def map_with_index(self, index: int, record: clips.Record) -> clips.Example:
        size = (record["height"], record["width"])
        crop = clips.NONE.crop(size, self.fidelity, np.random.default_rng(0))
        instance = len(record["labels"]) // 2
        begin, end = self.drawing.action(record, instance)
        spread = (np.arange(TEST_CLIPS) + 0.5) / TEST_CLIPS
        numbers = np.stack([self.drawing.clip(begin, end, where) for where in spread])
        return {
            "frames": clips.Clip(record, numbers, self.fidelity, crop),
            "label": np.int32(record["labels"][instance]),
        }
