"""A video as loaders, encoders and predictions read it, wherever its frames lie."""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np

from lofi_jax.data.video.jpeg import Crop


@runtime_checkable
class Frames(Protocol):
    """A video's frames in the order of `sample_times`, which decode themselves when they are
    wanted.
    """

    def __len__(self) -> int: ...

    def read(
        self, numbers: np.ndarray, size: tuple[int, int], crop: Crop, out: np.ndarray, /
    ) -> None:
        """Decodes, crops and resizes some of them, at a reduced size where that is enough.

        Args:
            numbers: (n,) int, which frames, in any order.
            size: the height and width in pixels that the frames have.
            crop: the part that is wanted.
            out: gets the frames, (n, height, width, 3) uint8 RGB.
        """
        ...


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """A video, sampled, and its annotation. A part of a video may have its frames alone.

    Attributes:
        video_id: its name in the dataset, or its file's; "" where it needs none.
        frames: its sampled frames, snippet after snippet.
        height, width: of the frames, in pixels.
        duration: of the video file in seconds; 0 where it is not known.
        fps: frames per second of the video file; 0 where that is not known.
        segments: (M, 2) float64, start and end in seconds.
        labels: (M,) int64, each the place of its class in the dataset's class names.
    """

    video_id: str = ""
    frames: Frames
    height: int
    width: int
    duration: float = 0.0
    fps: float = 0.0
    segments: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 2)))
    labels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of the frames in pixels."""
        return self.height, self.width
