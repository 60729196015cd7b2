"""How a video is stored: which frames, at what size and quality."""

import dataclasses
import os

import cv2
import numpy as np

from lofi_jax.bounds import COUNT, PIXELS, QUALITY, Range
from lofi_jax.data import video_ids
from lofi_jax.data.record import Record
from lofi_jax.data.video import video_file as video_files
from lofi_jax.data.video.jpeg import Jpegs
from lofi_jax.data.video.sample_times import snippets_in
from lofi_jax.errors import UsageError

_RANGES = {
    "snippets": COUNT,
    "frames": COUNT,
    "stride": Range(),
    "short_side": PIXELS,
    "quality": QUALITY,
    "snippets_per_second": Range(),
}


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a video is stored.

    Attributes:
        snippets: per video.
        frames: per snippet.
        stride: native frames between a snippet's frames; 0 spreads them evenly over the snippet.
        short_side: pixels of a stored frame's shorter side, its aspect kept.
        quality: of the JPEGs, 1 to 100.
        snippets_per_second: above 0, a video of d seconds gets ceil(d * snippets_per_second)
            snippets, evenly spaced, in place of `snippets`: long videos that are read by sliding
            windows.
    """

    snippets: int = 100
    frames: int = 8
    stride: int = 8
    short_side: int = 256
    quality: int = 95
    snippets_per_second: float = 0.0

    def __post_init__(self):
        for key, allowed in _RANGES.items():
            if not allowed.holds(value := getattr(self, key)):
                raise UsageError(f"{key} is {value}: it must be {allowed}")

    @property
    def name(self) -> str:
        """The name of the dataset's config, such as "100x8_stride8_256px_q95" or
        "rate2.0x8_stride0_256px_q95".
        """
        rate = float(self.snippets_per_second)
        number = f"rate{rate}" if rate else f"{self.snippets}"
        size = f"{number}x{self.frames}_stride{self.stride}"
        return f"{size}_{self.short_side}px_q{self.quality}"

    def frames_in(self, seconds: float) -> int:
        """How many frames a video of so many seconds gets."""
        return snippets_in(seconds, self.snippets_per_second, self.snippets) * self.frames


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """An image, (H, W, 3) uint8 RGB, as a JPEG of a quality of 1 to 100."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)[1].tobytes()


def read_record(path: str | os.PathLike, sampling: Sampling) -> tuple[Record, str]:
    """Reads any video file into a dataset's record, without annotation.

    Returns:
        A record of `Jpegs`, named after the file, and how much of the video it covers where
        decoding breaks, such as "decodes up to 2.80 of 5.00 s", else "".

    Raises:
        video.VideoError: nothing can be decoded.
    """

    def encode(image: np.ndarray) -> tuple[bytes, tuple[int, int]]:
        return encode_jpeg(image, sampling.quality), image.shape[:2]

    sample = video_files.sample(
        path,
        sampling.snippets,
        sampling.frames,
        sampling.stride,
        sampling.short_side,
        encode,
        sampling.snippets_per_second,
    )
    height, width = sample.frames[0][1]
    duration = sample.info.duration
    record = Record(
        video_id=video_ids.of_file(path),
        frames=Jpegs(jpeg for jpeg, _ in sample.frames),
        height=height,
        width=width,
        duration=duration,
        fps=sample.info.fps,
    )
    covered = f"decodes up to {duration:.2f} of {sample.stated:.2f} s" if sample.broken else ""
    return record, covered
