"""Records whose frames are decoded from the video file on demand: training without preparation."""

import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from lofi_jax.data import video_ids
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.video import jpeg
from lofi_jax.data.video import video_file as video_files
from lofi_jax.data.video.sample_times import sample_times


class FrameAt(NamedTuple):
    """A frame of a video file: the counterpart of a prepared record's JPEG."""

    path: str
    seconds: float
    short_side: int


class VideoFrames(Sequence[FrameAt]):
    """The frames at some times of a video, none of them decoded."""

    def __init__(self, path: str, seconds: np.ndarray, short_side: int):
        self._path, self._seconds, self._short_side = path, seconds, short_side

    def __len__(self) -> int:
        return len(self._seconds)

    @overload
    def __getitem__(self, i: int) -> FrameAt: ...

    @overload
    def __getitem__(self, i: slice) -> "VideoFrames": ...

    def __getitem__(self, i):
        if isinstance(i, slice):
            return VideoFrames(self._path, self._seconds[i], self._short_side)
        return FrameAt(self._path, float(self._seconds[i]), self._short_side)


def record(
    path: str | os.PathLike, duration: float, fps: float, size: tuple[int, int], sampling: Sampling
) -> dict[str, Any]:
    """A record as `sampling.read_record` makes it, but for its frames, from what `open_video` found
    out.
    """
    times = sample_times(
        duration,
        fps,
        sampling.snippets,
        sampling.frames,
        sampling.stride,
        sampling.snippets_per_second,
    )
    return {
        "video_id": video_ids.of_file(path),
        "frames": VideoFrames(os.fspath(path), times, sampling.short_side),
        "height": size[0],
        "width": size[1],
        "duration": duration,
        "fps": fps,
        "segments": np.zeros((0, 2)),
        "labels": np.zeros(0, np.int64),
    }


def open_video(path: str | os.PathLike, sampling: Sampling) -> tuple[dict[str, Any], str]:
    """A video file's record, of whose frames only the first and the last are decoded, to see that
    they can be.

    Returns:
        As `sampling.read_record`. What is broken between those two frames comes out when it is
        read.

    Raises:
        video.VideoError: nothing can be decoded.
    """
    info = video_files.probe(path)
    duration = info.duration
    while True:
        made = record(path, duration, info.fps, (0, 0), sampling)
        seconds = [frame.seconds for frame in made["frames"]]
        try:
            ends = video_files.frames_at(path, [min(seconds), max(seconds)], sampling.short_side)
            size = [frame.shape[:2] for frame in ends][0]
        except video_files.BrokenVideo as broken:
            duration = broken.seconds
            continue
        covered = f"decodes up to {duration:.2f} of {info.stated:.2f} s"
        made |= {"height": size[0], "width": size[1]}
        return made, covered if duration < info.stated else ""


def read(
    wanted: Sequence[FrameAt], size: tuple[int, int], crop: jpeg.Crop, clip: np.ndarray
) -> None:
    """Decodes, crops and resizes frames of one video, at a reduced size where that is enough.

    Undecodable frames repeat the previous one (black if none); warned once.

    Args:
        wanted: in any order.
        size, crop: as `jpeg.decode`.
        clip: gets the frames, (frames, height, width, 3) uint8 RGB.
    """
    path, _, short_side = wanted[0]
    seconds = np.array([frame.seconds for frame in wanted])
    order = np.argsort(seconds, kind="stable")
    reduced = max(1, round(short_side / jpeg.reduction(size, crop, *clip.shape[1:3])))
    last, fitted, done = None, np.zeros_like(clip[0]), 0
    try:
        frames = video_files.frames_at(path, seconds[order], reduced)
        for place, frame in zip(order, frames, strict=True):
            if frame is not last:
                last, fitted = frame, jpeg.fit(frame, crop, clip[place])
            else:
                clip[place] = fitted
            done += 1
    except video_files.VideoError as error:
        _say_once(f"{error}: undecodable frames repeat the previous one")
        clip[order[done:]] = fitted


@functools.lru_cache(maxsize=1024)
def _say_once(line: str) -> None:
    print(line, flush=True)
