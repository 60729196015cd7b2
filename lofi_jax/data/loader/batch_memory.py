"""Reuses batch buffers once no view is alive."""

import collections
import ctypes
import math
import weakref

import numpy as np


class BatchMemory:
    """Allocates arrays in the memory of earlier ones that have no view left.

    The system clears fresh memory page by page at first touch, which takes a tenth of the decoding
    time.
    """

    def __init__(self):
        self._free: collections.deque[np.ndarray] = collections.deque()

    def __reduce__(self):
        return BatchMemory, ()  # a loader's worker has its own

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array of uint8 with any content."""
        size = math.prod(shape)
        memory = self._any()
        if memory.size < size:
            memory = np.empty(size, np.uint8)
        # What all views of the array keep alive, and nothing else does.
        lease = (ctypes.c_ubyte * size).from_buffer(memory.data)
        weakref.finalize(lease, self._free.append, memory).atexit = False
        return np.frombuffer(memoryview(lease), np.uint8).reshape(shape)

    def _any(self) -> np.ndarray:
        try:
            return self._free.pop()
        except IndexError:  # asking first would let another thread take the last one in between
            return np.empty(0, np.uint8)
