"""Video files at the level of packets: opened, indexed, decoded from a keyframe on."""

import bisect
import contextlib
import dataclasses
import functools
import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from lofi_jax.errors import LONGEST, one_line
from lofi_jax.files import regular

# Seconds. What is nearer is reached by reading on.
_NEAR = 1.0

# A title that is no UTF-8 harms no image; from 19 on, which needs Python 3.12, PyAV takes it as it
# is.
_LENIENT: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)


class VideoError(Exception):
    """A video that cannot be used: one line that names the file and the reason."""

    def __init__(self, message: str):
        super().__init__(one_line(message, LONGEST))


class BrokenVideo(VideoError):
    """A video that decodes only up to `seconds`, which lies above 0."""

    def __init__(self, path: str | os.PathLike, seconds: float, reason: str):
        super().__init__(f"{path}: decodes only up to {seconds:.2f} s ({reason})")
        self.seconds = seconds


class FalseKeyframe(Exception):
    """Decoding did not start at what is called a keyframe, as in a stream refreshed bit by bit."""


# Those that hold frames themselves: a playlist leads to other files, on other machines too.
_FORMATS = (
    "mov,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,ogg,asf,mxf,nut,ivf,rm,dv,wtv,gif,h264,hevc,"
    "m4v,obu,yuv4mpegpipe"
)
_ONLY_ITSELF = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}


def _source(path: str | os.PathLike, until: contextlib.ExitStack) -> Any:
    """A file as FFmpeg takes it, whatever its name seems to ask for ("clip:1.mp4", "-y.mp4")."""
    regular(path)
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:  # PyAV takes no such name
        return until.enter_context(open(path, "rb"))
    return f"file:{name}"


@contextlib.contextmanager
def open_video(
    path: str | os.PathLike,
) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Opens a file and its first video stream; a cover image is none."""
    with contextlib.ExitStack() as until:
        try:
            source = _source(path, until)
            container = until.enter_context(av.open(source, options=_ONLY_ITSELF, **_LENIENT))
        except (FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"{path}: cannot be opened as a video ({reason(error)})") from error
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & Disposition.attached_pic
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


def reason(error: Exception) -> str:
    """An error's own words, without its number and file."""
    return getattr(error, "strerror", None) or str(error)


def _stamp(packet: av.Packet) -> int | None:
    return packet.dts if packet.pts is None else packet.pts


def tick(stream: av.VideoStream) -> Fraction:
    """The unit of a stream's times, in seconds.

    Raises:
        VideoError: the file says none.
    """
    if stream.time_base is None:
        path = stream.container.name.removeprefix("file:")
        raise VideoError(f"{path}: does not say in what unit its times are")
    return stream.time_base


def stated_duration(container: InputContainer, stream: av.VideoStream) -> float:
    """The duration of the images in the file's header in seconds, 0 where it says none."""
    if stream.duration:
        return float(stream.duration * tick(stream))
    if len(container.streams) > 1:
        return 0.0  # a container's duration counts the sound too
    lead = (stream.start_time or 0) * tick(stream)
    stated = ((container.duration or 0) + (container.start_time or 0)) / av.time_base
    return float(stated - lead)


@dataclasses.dataclass(frozen=True)
class Index:
    """What the packets tell without decoding: the first stamp, the end of the last frame, the last
    frame's own duration (0: not said) and the keyframes, in ticks of the stream's time base, and
    the number of frames.
    """

    origin: int
    end: int
    last: int
    keyframes: list[int]
    frames: int

    def keyframe_before(self, stamp: float) -> int:
        """The last keyframe at or before a stamp; the origin where there is none."""
        position = bisect.bisect_right(self.keyframes, stamp)
        return self.keyframes[position - 1] if position else self.origin


def index_of(path: str | os.PathLike) -> Index:
    """The index of a file, which is read through when it is first asked for, and again once it has
    changed.

    Raises:
        VideoError: it is no video, or has no frames.
    """
    file = os.stat(path) if os.path.exists(path) else None
    return _known_index(os.fspath(path), file and (file.st_size, file.st_mtime_ns))


# Each file is looked through, sampled, and in training from the files themselves read from again
# and again.
@functools.lru_cache(maxsize=1024)
def _known_index(path: str, _version: tuple[int, int] | None) -> Index:
    return _read_index(path)


def _read_index(path: str | os.PathLike) -> Index:
    """Reads through all packets: that costs little beside decoding, and no header need be right."""
    stamps, keyframes = {}, []
    with open_video(path) as (container, stream):
        # A file that is cut short ends here with an error; what came before it counts.
        with contextlib.suppress(FFmpegError):
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
    return Index(min(stamps), end + last, last, keyframes, len(stamps))


def decode(
    container: InputContainer,
    stream: av.VideoStream,
    index: Index,
    wanted: deque[float],
) -> Iterator[tuple[int, int, av.VideoFrame]]:
    """Yields (begin, end, frame), in ticks, while there are stamps in `wanted`, which the caller
    empties from the left; jumps to the last keyframe before the first of them.

    Raises:
        FalseKeyframe: a jump led nowhere.
    """
    clock = _Clock(index.origin)
    landing = None  # the keyframe of the last jump, until its frame has come out
    for packet, keyframe in _needed(container, stream, index, wanted):
        if keyframe is not None:
            stream.codec_context.flush_buffers()
            landing = keyframe
        for frame in packet.decode():
            if landing is not None and _is_keyframe_of(frame, landing):
                landing = None
            yield *clock.shown(frame), frame
    if landing is not None and wanted:
        raise FalseKeyframe


def _needed(
    container: InputContainer, stream: av.VideoStream, index: Index, wanted: deque[float]
) -> Iterator[tuple[av.Packet, int | None]]:
    """Yields the packets to decode; with the first one after a jump its stamp, which is a
    keyframe's, and else None.

    Raises:
        FalseKeyframe: a keyframe that was sought did not come.
    """
    near = _NEAR / tick(stream)
    fed = sought = index.origin  # the last keyframes that were handed out, and looked for
    for packet in container.demux(stream):
        if not wanted:
            return
        stamp, start = _stamp(packet), index.keyframe_before(wanted[0])
        jumps = start > fed
        if jumps and start > sought and start - max(fed, stamp or 0) > near:
            container.seek(start, stream=stream)
            sought = start
            continue
        if jumps and not (packet.is_keyframe and stamp == start):
            continue  # it comes soon
        if packet.is_keyframe and stamp is not None:
            fed = max(fed, stamp)
        yield packet, start if jumps else None
    if sought > fed:
        raise FalseKeyframe


def _is_keyframe_of(frame: av.VideoFrame, keyframe: int) -> bool:
    """Whether a frame is the one that decoding was to start with; those before it may come out too.

    Raises:
        FalseKeyframe: it is one after it.
    """
    if frame.pts is None or frame.pts < keyframe:
        return False
    if frame.pts > keyframe:
        raise FalseKeyframe
    return True


@dataclasses.dataclass
class _Clock:
    """When frames begin and end, in ticks.

    Decoders put frames out in the order of display, even where the stamps contradict it.
    """

    end: int

    def __post_init__(self):
        self._begin = self.end

    def shown(self, frame: av.VideoFrame) -> tuple[int, int]:
        self._begin = max(self._begin, self.end if frame.pts is None else frame.pts)
        self.end = self._begin + (frame.duration or 1)
        return self._begin, self.end
