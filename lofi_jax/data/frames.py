"""Some of a video's frames, in any order, none of them read before it is asked for."""

from collections.abc import Sequence
from typing import Any


class Picked(Sequence[Any]):
    """Frames of another sequence of frames, by their numbers there."""

    def __init__(self, frames: Sequence[Any], numbers: Sequence[int]):
        self._frames, self._numbers = frames, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Picked(self._frames, self._numbers[i])
        return self._frames[self._numbers[i]]
