"""Reading ahead: what an iterable yields next is made while the last is worked on."""

import concurrent.futures
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar, cast

T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T], most: int) -> Iterator[T]:
    """Yields the items in their order, made on a thread of their own, up to `most` in advance.

    What making one raises is raised in its place. Nothing is made before the first is asked for.

    >>> list(ahead("abc", 2))
    ['a', 'b', 'c']
    """
    iterator = iter(items)
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        coming = deque(pool.submit(next, iterator, _END) for _ in range(most))
        while (item := coming.popleft().result()) is not _END:
            coming.append(pool.submit(next, iterator, _END))
            yield cast(T, item)
    finally:
        pool.shutdown(cancel_futures=True)
