"""Items by number, whatever holds them: what loaders, encoders and heads read from."""

from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item", covariant=True)


@runtime_checkable
class RandomAccess(Protocol[Item]):
    """Items by number from 0 up, such as a list's, a dataset's records or the videos of a folder of
    features.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Item: ...
