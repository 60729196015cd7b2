"""The snippets of a video one after the other, so that its length takes no memory.

For samplings by rate, where a snippet's place does not depend on how long the video lasts.
"""

import heapq
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lofi_jax.data.ingest.sampling import Sampling, encode_jpeg
from lofi_jax.data.streamed.ahead import ahead
from lofi_jax.data.video import video_file as video_files
from lofi_jax.data.video.packets import BrokenVideo
from lofi_jax.data.video.sample_times import sample_times, snippets_in

T = TypeVar("T")

# Frames that are decoded while those before are resized and stored: how many, and pixels in all, of
# which each takes one to three bytes.
_DECODED = 32
_DECODED_PIXELS = 2**25

# Seconds. A frame may seem to come that much after its time, by its format's rounding.
_ROUNDING = 1e-3


class Stored(NamedTuple):
    """A frame as a prepared dataset stores it.

    Attributes:
        jpeg: the image.
        size: its height and width in pixels.
    """

    jpeg: bytes
    size: tuple[int, int]


def store(image: np.ndarray, quality: int) -> Stored:
    """An image, (H, W, 3) uint8 RGB, as it is stored."""
    return Stored(encode_jpeg(image, quality), (image.shape[0], image.shape[1]))


class FileSnippets:
    """A video file's snippets in order, each as `sampling.frames` stored frames.

    Attributes:
        duration: in seconds; what decoding finds broken shortens it.
        stated: the duration had nothing broken or been cut off.
    """

    def __init__(self, path: str | os.PathLike, sampling: Sampling):
        """Takes a file and how it is sampled, by a rate.

        Raises:
            VideoError: nothing can be decoded.
        """
        info = video_files.probe(path)
        self._path, self._sampling, self._fps = path, sampling, info.fps
        self._ahead = max(2, min(_DECODED, _DECODED_PIXELS // (info.width * info.height)))
        self.duration, self.stated = info.duration, info.stated

    @property
    def covered(self) -> str:
        """How much of the video is used where decoding breaks, else ""."""
        if self.duration >= self.stated:
            return ""
        return f"decodes up to {self.duration:.2f} of {self.stated:.2f} s"

    def __iter__(self) -> Iterator[list[Stored]]:
        how = self._sampling
        times = sample_times(
            self.duration, self._fps, 0, how.frames, how.stride, how.snippets_per_second
        )
        order = np.argsort(times, kind="stable")
        yield from complete(self._placed(order, times[order]), how.frames)

    def _placed(self, order: np.ndarray, times: np.ndarray) -> Iterator[tuple[int, Stored]]:
        how, done, last, kept = self._sampling, 0, None, None
        try:
            frames = video_files.decoded_at(self._path, times, how.short_side)
            for shown in ahead(frames, self._ahead):
                if kept is None or shown is not last:
                    last, kept = shown, store(shown(), how.quality)
                yield int(order[done]), kept
                done += 1
        except BrokenVideo as broken:
            if kept is None:
                raise
            self.duration = broken.seconds
            # What begins before the end shows the last frame after it.
            left = snippets_in(self.duration, how.snippets_per_second, 0) * how.frames
            yield from ((place, kept) for place in order[done:].tolist() if place < left)


def complete(placed: Iterable[tuple[int, T]], frames: int) -> Iterator[list[T]]:
    """Frames by their place, snippet after snippet, as whole snippets in order.

    >>> list(complete([(0, "a"), (2, "c"), (1, "b"), (3, "d")], frames=2))
    [['a', 'b'], ['c', 'd']]
    """
    waiting: dict[int, T] = {}
    first = 0
    for place, frame in placed:
        waiting[place] = frame
        while all(first + i in waiting for i in range(frames)):
            yield [waiting.pop(first + i) for i in range(frames)]
            first += frames


def ascending(rate: float, frames: int, stride: int, fps: float) -> Iterator[tuple[float, int]]:
    """The (time, place) at which a video without a known end is sampled, as `sample_times` has
    them, by time.

    >>> list(itertools.islice(ascending(1.0, 2, 0, 10.0), 3))
    [(0.25, 0), (0.75, 1), (1.25, 2)]
    """
    offsets = (np.arange(frames) - (frames - 1) / 2) * stride / fps
    if not stride:
        offsets = ((np.arange(frames) + 0.5) / frames - 0.5) / rate
    heap: list[tuple[float, int]] = []
    for snippet in itertools.count():
        centre = (snippet + 0.5) / rate
        for i, offset in enumerate(offsets.tolist()):
            heapq.heappush(heap, (max(0.0, centre + offset), snippet * frames + i))
        # The next snippet has none before this.
        while heap and heap[0][0] <= centre + 1 / rate + offsets[0]:
            yield heapq.heappop(heap)


def shown_at(
    wanted: Iterator[tuple[float, int]],
    frames: Iterable[tuple[float, Any]],
    make: Callable[[Any], T],
) -> Iterator[tuple[int, T]]:
    """What is shown at each of the times, with its place, as soon as it is known.

    Args:
        wanted: (time, place), ascending.
        frames: (begin in seconds, frame), ascending; each is shown until the next begins.
        make: makes of a frame that is wanted what is kept of it.
    """
    time, place = next(wanted)
    before, kept = None, None
    for begin, frame in frames:
        while before is not None and time + _ROUNDING < begin:
            kept = make(before) if kept is None else kept
            yield place, kept
            time, place = next(wanted)
        before, kept = frame, None
