"""Frames of real video files: upright, with square pixels, and chosen by the time at which they are shown.

A video's clock starts with its first frame, whatever the file's own start time. Frames are decoded
and held one at a time, so an hour-long video takes no more memory than a short one.
"""

import bisect
import contextlib
import dataclasses
import functools
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from lofi_jax.data import upright

EXTENSIONS = (".mp4", ".mkv", ".avi", ".mov", ".webm")

# Seconds. Matroska rounds to milliseconds, so a frame may seem to come that much after its time.
_ROUNDING = 1e-3
# Seconds. How far a file may end from where its header, or who asks for its last frames, says.
_SLACK = 1.0
# Seconds. What is nearer is reached by reading on.
_NEAR = 1.0


class VideoError(Exception):
    """A video that cannot be used: one line that names the file and the reason."""


class BrokenVideo(VideoError):
    """A video that decodes only up to `seconds`, which lies above 0."""

    def __init__(self, path: str | os.PathLike, seconds: float, reason: str):
        super().__init__(f"{path}: decodes only up to {seconds:.2f} s ({reason})")
        self.seconds = seconds


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
    index = _read_index(path)
    with _open(path) as (container, stream):
        try:
            first = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise VideoError(f"{path}: no frame can be decoded ({_reason(error)})") from error
        if first is None:
            raise VideoError(f"{path}: no frame can be decoded")
        duration = float((index.end - index.origin) * stream.time_base)
        rate = stream.average_rate or stream.guessed_rate or index.frames / max(duration, _ROUNDING)
        stated = _stated_duration(container, stream)
        height, width = upright.size(first, stream.sample_aspect_ratio, None)
    fps = float(rate)
    if not index.last:
        duration += 1 / fps
    stated = stated if stated > duration + _SLACK else duration
    return VideoInfo(os.fspath(path), duration, stated, fps, index.frames, width, height)


def stated_duration(path: str | os.PathLike) -> float:
    """The duration in a file's header in seconds, 0 where it says none; `probe` knows, but reads through the file.

    Raises:
        VideoError: no such file, not a video, or no video in it.
    """
    with _open(path) as (container, stream):
        return _stated_duration(container, stream)


def snippets_in(duration: float, rate: float, snippets: int) -> int:
    """How many snippets a video of `duration` seconds has: `snippets`, or with `rate` > 0 so many a second."""
    # A duration is a sum of rounded ticks: a hair over a whole snippet begins no other.
    return max(1, math.ceil(duration * rate - _ROUNDING)) if rate else snippets


def sample_times(
    duration: float, fps: float, snippets: int, frames: int, stride: int, rate: float = 0.0
) -> np.ndarray:
    """The times at which a video is sampled: `snippets` snippets of `frames` frames each.

    Snippet l has its centre at (l + 0.5) / snippets * duration. With `stride` > 0 its frames lie
    `stride` native frames apart around that centre, kept inside the video (paper, section 1: of 64
    frames every 8th); with `stride` = 0 they are spread evenly over the snippet.

    With `rate` > 0 a snippet is 1 / rate seconds long, whatever `snippets` says, and there are as many as the video
    takes: centre l lies at (l + 0.5) / rate, and what passes the video's end shows its last frame.

    Returns:
        (snippets * frames,) float64 seconds, snippet after snippet; ascending unless the frames of
        neighbouring snippets interleave.
    """
    snippets = snippets_in(duration, rate, snippets)
    covered = snippets / rate if rate else duration
    if stride == 0:
        times = (np.arange(snippets * frames) + 0.5) / (snippets * frames) * covered
        return times.clip(None, max(0.0, duration - 0.5 / fps)) if rate else times
    centres = (np.arange(snippets) + 0.5) / snippets * covered
    offsets = (np.arange(frames) - (frames - 1) / 2) * stride / fps
    times = (centres[:, None] + offsets).reshape(-1)
    return times.clip(0.0, max(0.0, duration - 0.5 / fps))


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


def read_frames(
    path: str | os.PathLike, times: Sequence[float], short_side: int | None = None
) -> tuple[np.ndarray, float | None]:
    """Reads the frames shown at `times` (seconds, in any order).

    Returns:
        (N, H, W, 3) uint8 RGB, upright, in the order of `times`, and None. Where decoding breaks:
        the frames for those times that come before, and the second at which it broke.

    Raises:
        VideoError: nothing can be decoded, or nothing up to the first of `times`.
    """
    times = np.asarray(times, np.float64)
    order = np.argsort(times, kind="stable")
    frames, broke = {}, None
    try:
        for place, frame in zip(order, frames_at(path, times[order], short_side), strict=True):
            frames[place] = frame
    except BrokenVideo as broken:
        if not frames:
            raise
        broke = broken.seconds
    return np.stack([frames[place] for place in sorted(frames)]), broke


def frames_at(
    path: str | os.PathLike, times: Sequence[float], short_side: int | None = None
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
    file = os.stat(path) if os.path.exists(path) else None
    index = _known_index(os.fspath(path), file and (file.st_size, file.st_mtime_ns))
    done = 0
    try:
        for frame in _frames_at(path, index, times, short_side):
            yield frame
            done += 1
    except _FalseKeyframe:
        index = dataclasses.replace(index, keyframes=[])
        yield from _frames_at(path, index, times[done:], short_side)


class _FalseKeyframe(Exception):
    """Decoding did not start at what is called a keyframe, as in a stream refreshed bit by bit."""


def _frames_at(
    path: str | os.PathLike, index: "_Index", times: Sequence[float], short_side: int | None
) -> Iterator[np.ndarray]:
    """`frames_at`, jumping to the index's keyframes."""
    with _open(path) as (container, stream):
        tick = float(stream.time_base)
        rounding = _ROUNDING / tick
        wanted = deque(np.asarray(times, np.float64) / tick + index.origin + rounding)
        # One for all frames: making it costs more than converting a frame.
        converter = VideoReformatter()
        shown = size = None
        slack, reason = _SLACK / tick, "the file ends early"
        try:
            for begin, after, frame in _decode(container, stream, index, wanted):
                while shown is not None and wanted and wanted[0] < begin:
                    yield shown()
                    wanted.popleft()
                size = size or upright.size(frame, stream.sample_aspect_ratio, short_side)
                # Most frames are never wanted: they stay in the decoder's own format.
                shown = functools.cache(functools.partial(upright.render, frame, size, converter))
                end = after
        except av.FFmpegError as error:
            slack, reason = 0.0, _reason(error)
        if shown is None:
            raise VideoError(f"{path}: no frame can be decoded ({reason})")
        while wanted and wanted[0] - rounding < end + slack:
            yield shown()
            wanted.popleft()
        if wanted:
            raise BrokenVideo(path, (end - index.origin) * tick, reason)


@dataclasses.dataclass(frozen=True)
class _Index:
    """What the packets tell without decoding: the first stamp, the end of the last frame, the last frame's
    own duration (0: not said) and the keyframes, in ticks of the stream's time base, and the number of frames."""

    origin: int
    end: int
    last: int
    keyframes: list[int]
    frames: int

    def keyframe_before(self, stamp: float) -> int:
        """The last keyframe at or before a stamp; the origin where there is none."""
        position = bisect.bisect_right(self.keyframes, stamp)
        return self.keyframes[position - 1] if position else self.origin


@functools.lru_cache(maxsize=1024)
def _known_index(path: str, _version: tuple[int, int] | None) -> _Index:
    """The index of a file that is read from again and again, as in training from the files themselves."""
    return _read_index(path)


def _read_index(path: str | os.PathLike) -> _Index:
    """Reads through all packets: that costs little beside decoding, and no header need be right."""
    stamps, keyframes = {}, []
    with _open(path) as (container, stream):
        # A file that is cut short ends here with an error; what came before it counts.
        with contextlib.suppress(av.FFmpegError):
            for packet in container.demux(stream):
                stamp = _stamp(packet)
                if packet.size == 0 or packet.is_discard or stamp is None:
                    continue
                stamps[stamp] = packet.duration or 0
                if packet.is_keyframe:
                    keyframes.append(stamp)
        # AVI has no presentation times: those of its keyframes are guesses, so never jump to one.
        jumps = container.format.name != "avi"
    if not stamps:
        raise VideoError(f"{path}: holds no frames")
    end = max(stamps)
    last = stamps[end]
    keyframes = sorted(keyframes) if jumps else []
    return _Index(min(stamps), end + last, last, keyframes, len(stamps))


def _decode(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    index: _Index,
    wanted: deque[float],
) -> Iterator[tuple[int, int, av.VideoFrame]]:
    """Yields (begin, end, frame), in ticks, while there are stamps in `wanted`, which the caller
    empties from the left; jumps to the last keyframe before the first of them.

    Raises:
        _FalseKeyframe: a jump led nowhere.
    """
    begin = end = fed = sought = index.origin
    near = _NEAR / stream.time_base
    landing = None
    for packet in container.demux(stream):
        if not wanted:
            return
        stamp = _stamp(packet)
        start = index.keyframe_before(wanted[0])
        if start > fed:
            if start > sought and start - max(fed, stamp or 0) > near:
                container.seek(start, stream=stream)
                sought = start
                continue
            if not packet.is_keyframe or stamp != start:
                continue
            stream.codec_context.flush_buffers()
            landing = start
        if packet.is_keyframe and stamp is not None:
            fed = max(fed, stamp)
        for frame in packet.decode():
            if landing is not None and frame.pts is not None and frame.pts >= landing:
                if frame.pts > landing:
                    raise _FalseKeyframe
                landing = None
            # Decoders put frames out in the order of display, even where the stamps contradict it.
            begin = max(begin, end if frame.pts is None else frame.pts)
            end = begin + (frame.duration or 1)
            yield begin, end, frame
    if landing is not None or sought > fed:
        raise _FalseKeyframe


@contextlib.contextmanager
def _open(path: str | os.PathLike) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Opens a file and its first video stream; a cover picture is none."""
    try:
        container = av.open(os.fspath(path), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be opened as a video ({_reason(error)})") from error
    with container:
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise VideoError(f"{path}: holds no video, only {kinds}")
        codec = streams[0].codec_context
        if codec is None:
            raise VideoError(f"{path}: its video is in a format that cannot be decoded")
        # One thread a video, since callers decode many at once; and so a damaged file always breaks
        # at the same frame.
        codec.thread_type = "NONE"
        codec.thread_count = 1
        yield container, streams[0]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _stamp(packet: av.Packet) -> int | None:
    return packet.dts if packet.pts is None else packet.pts


def _stated_duration(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """The duration of the pictures in the file's header in seconds, 0 where it says none."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if len(container.streams) > 1:
        return 0.0  # a container's duration counts the sound too
    lead = (stream.start_time or 0) * stream.time_base
    stated = ((container.duration or 0) + (container.start_time or 0)) / av.time_base
    return float(stated - lead)
