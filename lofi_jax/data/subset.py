"""A lazy subset of a sequence, by index."""

from collections.abc import Sequence
from typing import TypeVar, overload

import numpy as np

from lofi_jax.data.random_access import RandomAccess

Item = TypeVar("Item")


class Subset(Sequence[Item]):
    """The items of another sequence at some indices, such as a video's frames, read on access."""

    def __init__(self, items: RandomAccess[Item], numbers: Sequence[int] | np.ndarray):
        self._items, self._numbers = items, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, i: int) -> Item: ...

    @overload
    def __getitem__(self, i: slice) -> "Subset[Item]": ...

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Subset(self._items, self._numbers[i])
        return self._items[int(self._numbers[i])]
