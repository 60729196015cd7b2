"""Video that comes as it is made: from stdin, the network or a camera, without a known end."""

import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.streamed.address import DEVICES, STDIN
from lofi_jax.data.streamed.snippets import Stored, ascending, complete, shown_at, store
from lofi_jax.data.video import upright
from lofi_jax.data.video.packets import VideoError, reason

_PATIENCE = 10.0  # seconds without a frame until a source counts as stalled
_FPS = 25.0  # of a stream that does not tell
_SLACK = 1.0  # seconds that a finished file may end before its stated end
_ENDED = "the stream ended"
_SEEKS = (
    "a form that needs seeking, as MP4 does, is no stream: give the file itself, or pipe MPEG-TS"
    " or Matroska"
)


class Live:
    """A source's snippets in order, each as `sampling.frames` stored frames.

    A stall, a break and the end of a stream are said, and the source is connected to again; stdin,
    and a file on the network that was read to its stated end, are over with their end. The clock
    goes on while there is no frame, which the last one fills. That no frame came at all is a
    `VideoError` in the end.

    Attributes:
        duration: seconds from the first frame to the end of the last so far.
    """

    def __init__(
        self,
        address: str,
        sampling: Sampling,
        say: Callable[[str], None],
        waits: tuple[float, ...] = (1, 2, 4, 8, 16, 30, 30, 30),
    ):
        """Connects.

        Args:
            address: "-", a URL that FFmpeg reads (rtsp, http, ...), or a device such as
                /dev/video0.
            sampling: by a rate.
            say: told what happens to the source.
            waits: seconds before each further connection that fails in a row; then it is over.

        Raises:
            VideoError: no connection, or no video in it.
        """
        self._address, self._sampling, self._say, self._waits = address, sampling, say, waits
        self.duration = 0.0
        self._container = self._open()
        stream = self._container.streams.video[0]
        self._fps = float(stream.average_rate or stream.guessed_rate or _FPS)

    def __iter__(self) -> Iterator[list[Stored]]:
        how, converter = self._sampling, VideoReformatter()
        shape = None

        def make(shown: Any) -> Stored:
            nonlocal shape
            frame, aspect = shown
            shape = shape or upright.shape(frame, aspect, how.short_side)
            return store(upright.render(frame, shape, converter), how.quality)

        wanted = ascending(how.snippets_per_second, how.frames, how.stride, self._fps)
        yield from complete(shown_at(wanted, self._frames(), make), how.frames)

    def _frames(self) -> Iterator[tuple[float, Any]]:
        """(begin in seconds, (frame, pixel aspect)) over all connections.

        Raises:
            VideoError: there was none.
        """
        began, why = time.monotonic(), _ENDED
        container: InputContainer | None = self._container
        once = self._address == STDIN
        while container is not None:
            offset = self._offset(began)
            stated = float(container.duration or 0) / av.time_base
            with container:
                why = yield from self._frames_of(container, offset)
            finished = 0 < stated <= self.duration - offset + _SLACK
            # stdin that does not state its length may end at any time.
            broke = not finished and (not once or stated > 0 or why != _ENDED)
            if broke and (self.duration or not once):
                self._say(f"{self._address}: no frame after {self.duration:.1f} s ({why})")
            container = None if once or finished else self._connected_again()
        if not self.duration:
            raise VideoError(_with_remedy(self._address, f"no frame came ({why})"))

    def _frames_of(
        self, container: InputContainer, offset: float
    ) -> Generator[tuple[float, Any], None, str]:
        """As `_frames`, over one connection whose first frame begins at `offset`; returns why it is
        over.
        """
        stream = container.streams.video[0]
        first = None
        try:
            for frame in container.decode(stream):
                at = self.duration - offset if frame.time is None else frame.time
                first = at if first is None else first
                begin = max(self.duration - 1 / self._fps, offset + at - first, 0.0)
                self.duration = begin + 1 / self._fps
                yield begin, (frame, stream.sample_aspect_ratio)
        except FFmpegError as error:
            return reason(error)
        return _ENDED

    def _offset(self, began: float) -> float:
        """The time of a new connection's first frame: what has passed, if more than was seen."""
        return max(self.duration, time.monotonic() - began) if self.duration else 0.0

    def _connected_again(self) -> InputContainer | None:
        for wait in self._waits:
            time.sleep(wait)
            try:
                container = self._open()
            except VideoError:
                continue
            self._say(f"{self._address}: connected again")
            return container
        self._say(f"{self._address}: gone, after {len(self._waits)} more tries")
        return None

    def _open(self) -> InputContainer:
        options = {"rtsp_transport": "tcp"} if self._address.startswith("rtsp") else {}
        try:
            if self._address == STDIN:
                container = av.open(sys.stdin.buffer, "r")
            elif self._address.startswith(DEVICES):
                container = av.open(self._address, "r", format="v4l2")
            else:
                container = av.open(self._address, "r", options=options, timeout=_PATIENCE)
        except (FFmpegError, OSError) as error:
            text = f"cannot be opened as a video ({reason(error)})"
            raise VideoError(_with_remedy(self._address, text)) from error
        if not container.streams.video:
            raise VideoError(f"{self._address}: holds no video")
        return container


def _with_remedy(address: str, what: str) -> str:
    return f"{address}: {what}: {_SEEKS}" if address == STDIN else f"{address}: {what}"
