"""Random access to windows of long videos, of their frames or features, as if each were a video."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from lofi_jax.data.annotations.windows import Window
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.data.record import Frames, Record
from lofi_jax.data.video.jpeg import Crop
from lofi_jax.detection.windows import Windows, shown


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """Some of a video's frames as frames of their own, by their numbers (n,) int in the video."""

    frames: Frames
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, numbers: np.ndarray, size: tuple[int, int], crop: Crop, out: np.ndarray) -> None:
        self.frames.read(self.numbers[numbers], size, crop, out)


def _part(stored: Frames, start: int, size: int, frames: int) -> _Part:
    """The frames of `size` snippets from `start` on; past the video's end, its last snippet."""
    snippets = shown(start, size, len(stored) // frames)
    return _Part(stored, (snippets[:, None] * frames + np.arange(frames)).ravel())


class WindowRecords:
    """Windows to train on, as records."""

    def __init__(
        self,
        records: RandomAccess[Record],
        chosen: Sequence[Window],
        windows: Windows,
        frames: int,
        classes: tuple[str, ...],
    ):
        """Takes the videos' records, the windows, and the frames per snippet."""
        self._records, self._chosen, self._size = records, chosen, windows.size
        self._frames, self._index = frames, {label: i for i, label in enumerate(classes)}

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, i: int) -> Record:
        window = self._chosen[i]
        record = self._records[window.number]
        return dataclasses.replace(
            record,
            frames=_part(record.frames, window.start, self._size, self._frames),
            duration=window.video.known_duration,
            segments=window.video.segments,
            labels=np.array([self._index[label] for label in window.video.labels], np.int64),
        )


class Pieces:
    """Videos as records of `size` snippets without annotation, end to end and in order, the last
    one filled up.

    The features of a video's pieces, joined and cut to the video's length, are the video's
    features.

    Attributes:
        counts: pieces of each video.
    """

    def __init__(
        self, records: RandomAccess[Record], lengths: Sequence[int], size: int, frames: int
    ):
        """Takes the videos' records, their lengths in snippets, and the frames per snippet."""
        # The pieces of one video are read in order.
        self._record = functools.lru_cache(maxsize=2)(records.__getitem__)
        self._size, self._frames = size, frames
        self.counts = [-(-length // size) for length in lengths]
        self._places = [
            (number, start)
            for number, length in enumerate(lengths)
            for start in range(0, length, size)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Record:
        number, start = self._places[i]
        record = self._record(number)
        return Record(
            video_id=record.video_id,
            frames=_part(record.frames, start, self._size, self._frames),
            height=record.height,
            width=record.width,
        )
