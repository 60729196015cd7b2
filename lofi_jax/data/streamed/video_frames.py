"""Records whose frames are decoded from the video file on demand: training without preparation."""

import dataclasses
import functools
import os

import numpy as np

from lofi_jax.data import video_ids
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.record import Record
from lofi_jax.data.video import jpeg
from lofi_jax.data.video import video_file as video_files
from lofi_jax.data.video.sample_times import sample_times


@dataclasses.dataclass(frozen=True, eq=False)
class VideoFrames:
    """The frames at some times of a video file, none of them decoded; see `record.Frames`.

    Attributes:
        path: the file.
        seconds: (n,) float64, when each frame is shown.
        short_side: pixels of a frame's shorter side.
    """

    path: str
    seconds: np.ndarray
    short_side: int

    @classmethod
    def sampled(
        cls, path: str | os.PathLike, duration: float, fps: float, sampling: Sampling
    ) -> "VideoFrames":
        """The frames that a prepared dataset would store of a video that lasts `duration` seconds
        at `fps` frames per second.
        """
        times = sample_times(
            duration,
            fps,
            sampling.snippets,
            sampling.frames,
            sampling.stride,
            sampling.snippets_per_second,
        )
        return cls(os.fspath(path), times, sampling.short_side)

    def __len__(self) -> int:
        return len(self.seconds)

    def read(
        self, numbers: np.ndarray, size: tuple[int, int], crop: jpeg.Crop, out: np.ndarray
    ) -> None:
        """Decodes, crops and resizes some frames, at a reduced size where that is enough.

        Undecodable frames repeat the previous one (black if none); warned once.

        Args:
            numbers: (n,) int, which frames, in any order.
            size, crop: as `jpeg.decode`.
            out: gets the frames, (n, height, width, 3) uint8 RGB.
        """
        seconds = self.seconds[numbers]
        order = np.argsort(seconds, kind="stable")
        reduced = max(1, round(self.short_side / jpeg.reduction(size, crop, *out.shape[1:3])))
        last, fitted, done = None, np.zeros_like(out[0]), 0
        try:
            frames = video_files.frames_at(self.path, seconds[order], reduced)
            for place, frame in zip(order, frames, strict=True):
                if frame is not last:
                    last, fitted = frame, jpeg.fit(frame, crop, out[place])
                else:
                    out[place] = fitted
                done += 1
        except video_files.VideoError as error:
            _say_once(f"{error}: undecodable frames repeat the previous one")
            out[order[done:]] = fitted


def open_video(path: str | os.PathLike, sampling: Sampling) -> tuple[Record, str]:
    """A video file's record, of whose frames only the first and the last are decoded, to see that
    they can be.

    Returns:
        As `sampling.read_record`, but for the frames, which are `VideoFrames`. What is broken
        between those two frames comes out when it is read.

    Raises:
        video.VideoError: nothing can be decoded.
    """
    info = video_files.probe(path)
    duration = info.duration
    while True:
        frames = VideoFrames.sampled(path, duration, info.fps, sampling)
        ends = [frames.seconds.min(), frames.seconds.max()]
        try:
            first, _ = video_files.frames_at(path, ends, sampling.short_side)
        except video_files.BrokenVideo as broken:
            duration = broken.seconds
            continue
        record = Record(
            video_id=video_ids.of_file(path),
            frames=frames,
            height=first.shape[0],
            width=first.shape[1],
            duration=duration,
            fps=info.fps,
        )
        covered = f"decodes up to {duration:.2f} of {info.stated:.2f} s"
        return record, covered if duration < info.stated else ""


@functools.lru_cache(maxsize=1024)
def _say_once(line: str) -> None:
    print(line, flush=True)
