"""Frames of real video files: upright, with square pixels, and chosen by the time at which they are
shown.

A video's clock starts with its first frame, whatever the file's own start time. Frames are decoded
and held one at a time, so an hour-long video takes no more memory than a short one.
"""

import dataclasses
import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from lofi_jax.data.video import packets, upright
from lofi_jax.data.video.packets import BrokenVideo, VideoError
from lofi_jax.data.video.sample_times import sample_times

Shown = Callable[[], np.ndarray]  # a decoded frame; the image, which is made once

EXTENSIONS = (".mp4", ".mkv", ".avi", ".mov", ".webm")

# Seconds. Matroska rounds to milliseconds, so a frame may seem to come that much after its time.
_ROUNDING = 1e-3
# Seconds. How far a file may end from where its header, or who asks for its last frames, says.
_SLACK = 1.0


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        path: the file.
        duration: in seconds, from the first frame to the end of the last.
        stated: the same as the file's header has it, where that is more: the file is cut short.
        fps: frames a second, on average.
        frames: their number.
        width, height: of an upright frame in pixels.
    """

    path: str
    duration: float
    stated: float
    fps: float
    frames: int
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Sample:
    """A video sampled as `sample_times` says.

    Attributes:
        info: of the video; its duration is that of the part which decodes.
        stated: the duration had nothing broken or been cut off, in seconds.
        frames: snippets * frames results of `sample`'s `encode`, snippet after snippet.
    """

    info: VideoInfo
    stated: float
    frames: list[Any]

    @property
    def broken(self) -> bool:
        return self.info.duration < self.stated


def probe(path: str | os.PathLike) -> VideoInfo:
    """Says what a video holds, from its packets and its first frame.

    Raises:
        VideoError: no such file, not a video, no video in it, or not one frame that decodes.
    """
    index = packets.index_of(path)
    with packets.open_video(path) as (container, stream):
        try:
            first = next(container.decode(stream), None)
        except FFmpegError as error:
            raise VideoError(
                f"{path}: no frame can be decoded ({packets.reason(error)})"
            ) from error
        if first is None:
            raise VideoError(f"{path}: no frame can be decoded")
        duration = float((index.end - index.origin) * packets.tick(stream))
        rate = stream.average_rate or stream.guessed_rate or index.frames / max(duration, _ROUNDING)
        stated = packets.stated_duration(container, stream)
        height, width, *_ = upright.shape(first, stream.sample_aspect_ratio, None)
    fps = float(rate)
    if not index.last:
        duration += 1 / fps
    stated = stated if stated > duration + _SLACK else duration
    return VideoInfo(os.fspath(path), duration, stated, fps, index.frames, width, height)


def stated_duration(path: str | os.PathLike) -> float:
    """The duration in a file's header in seconds, 0 where it says none; `probe` knows, but reads
    through the file.

    Raises:
        VideoError: no such file, not a video, or no video in it.
    """
    with packets.open_video(path) as (container, stream):
        return packets.stated_duration(container, stream)


def sample(
    path: str | os.PathLike,
    snippets: int,
    frames: int,
    stride: int,
    short_side: int | None = None,
    encode: Callable[[np.ndarray], Any] = lambda frame: frame,
    rate: float = 0.0,
) -> Sample:
    """Samples a video as `sample_times` says; one whose decoding breaks, as if it ended there.

    Args:
        snippets, frames, stride, rate: see `sample_times`.
        short_side: see `frames_at`.
        encode: makes of a frame, (H, W, 3) uint8 RGB, what is kept of it.

    Raises:
        VideoError: nothing can be decoded.
    """
    info = probe(path)
    while True:
        times = sample_times(info.duration, info.fps, snippets, frames, stride, rate)
        order = np.argsort(times, kind="stable")
        encoded: list[Any] = [None] * len(times)
        last = result = None
        try:
            for place, frame in zip(order, frames_at(path, times[order], short_side), strict=True):
                if frame is not last:
                    last, result = frame, encode(frame)
                encoded[place] = result
            return Sample(info, info.stated, encoded)
        except BrokenVideo as broken:
            info = dataclasses.replace(info, duration=broken.seconds)


def frames_at(
    path: str | os.PathLike, times: Sequence[float] | np.ndarray, short_side: int | None = None
) -> Iterator[np.ndarray]:
    """Yields the frame shown at each of `times` (seconds, ascending).

    What lies between two wanted frames is left undecoded up to the last keyframe. A time before the
    first frame gets the first. Times that fall on one frame get one and the same array.

    Args:
        path: a video file.
        times: in seconds from the first frame.
        short_side: pixels that the shorter side is resized to, the aspect kept; None: left alone.

    Yields:
        (H, W, 3) uint8 RGB, upright, all of one size.

    Raises:
        VideoError: nothing can be decoded.
        BrokenVideo: decoding broke, or the file ended, with times left over; all before came out.
    """
    for shown in decoded_at(path, times, short_side):
        yield shown()


def decoded_at(
    path: str | os.PathLike, times: Sequence[float] | np.ndarray, short_side: int | None
) -> Iterator[Shown]:
    """As `frames_at`, each frame decoded only: calling it makes the image, on any one thread."""
    index = packets.index_of(path)
    done = 0
    try:
        for shown in _decoded_at(path, index, times, short_side):
            yield shown
            done += 1
    except packets.FalseKeyframe:
        index = dataclasses.replace(index, keyframes=[])
        yield from _decoded_at(path, index, times[done:], short_side)


def _decoded_at(
    path: str | os.PathLike,
    index: packets.Index,
    times: Sequence[float] | np.ndarray,
    short_side: int | None,
) -> Iterator[Shown]:
    """`decoded_at`, jumping to the index's keyframes."""
    with packets.open_video(path) as (container, stream):
        tick = float(packets.tick(stream))
        rounding = _ROUNDING / tick
        wanted = deque(np.asarray(times, np.float64) / tick + index.origin + rounding)
        # One for all frames: making it costs more than converting a frame.
        converter = VideoReformatter()
        shown = shape = None
        slack, reason = _SLACK / tick, "the file ends early"
        end = index.origin
        try:
            for begin, after, frame in packets.decode(container, stream, index, wanted):
                while shown is not None and wanted and wanted[0] < begin:
                    yield shown
                    wanted.popleft()
                shape = shape or upright.shape(frame, stream.sample_aspect_ratio, short_side)
                # Most frames are never wanted: they stay in the decoder's own format.
                shown = functools.cache(functools.partial(upright.render, frame, shape, converter))
                end = after
        except FFmpegError as error:
            slack, reason = 0.0, packets.reason(error)
        if shown is None:
            raise VideoError(f"{path}: no frame can be decoded ({reason})")
        while wanted and wanted[0] - rounding < end + slack:
            yield shown
            wanted.popleft()
        if wanted:
            raise BrokenVideo(path, (end - index.origin) * tick, reason)
