"""A lazy subset of a sequence, by index."""

from collections.abc import Sequence
from typing import Any


class Subset(Sequence[Any]):
    """The items of another sequence at some indices, such as a video's frames, read on access."""

    def __init__(self, items: Sequence[Any], numbers: Sequence[int]):
        self._items, self._numbers = items, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Subset(self._items, self._numbers[i])
        return self._items[self._numbers[i]]
