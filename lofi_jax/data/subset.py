"""Some of a sequence's items by number, none of them read before it is asked for."""

from collections.abc import Sequence
from typing import Any


class Subset(Sequence[Any]):
    """Items of another sequence, such as a video's frames or a dataset's records, by their numbers there."""

    def __init__(self, items: Sequence[Any], numbers: Sequence[int]):
        self._items, self._numbers = items, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Subset(self._items, self._numbers[i])
        return self._items[self._numbers[i]]
