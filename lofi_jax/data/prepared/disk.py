"""Estimates a dataset's disk space before it is made."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np

from lofi_jax.data.ingest.sampling import Sampling, encode_jpeg
from lofi_jax.data.ingest.video_folder import Job
from lofi_jax.data.prepared import shards
from lofi_jax.data.video import video_file
from lofi_jax.errors import UserError

# Of the videos, and of each one's frames.
_SAMPLED_VIDEOS = 5
_SAMPLED_FRAMES = 8


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The estimated disk space of some videos.

    Attributes:
        videos: their number.
        hours: their length, from the annotations or the files' headers; of the sampled ones if
            neither is known.
        size: bytes.
    """

    videos: int
    hours: float
    size: float

    def __str__(self) -> str:
        return (
            f"{self.size / max(self.hours, 1e-9) / 1e9:.2f} GB of disk an hour of video,"
            f" {self.size / 1e9:.2f} GB for {self.videos} videos of {self.hours:.2f} hours"
        )


def estimate(jobs: Sequence[Job], sampling: Sampling) -> Estimate:
    """Estimates the disk space from a few frames of a few videos, encoded as they would be
    stored.
    """
    chosen = np.linspace(0, len(jobs) - 1, min(len(jobs), _SAMPLED_VIDEOS)).round().astype(int)
    sizes, seconds = [], []
    for job in (jobs[i] for i in chosen):
        try:
            sample = video_file.sample(
                job.path,
                _SAMPLED_FRAMES,
                1,
                0,
                sampling.short_side,
                lambda frame: len(encode_jpeg(frame, sampling.quality)),
            )
        except video_file.VideoError:
            continue
        sizes += sample.frames
        seconds.append(sample.info.duration)
    # If none is readable, the build itself will report it.
    size, usual = (float(np.mean(sizes)), float(np.mean(seconds))) if sizes else (0.0, 0.0)
    if sampling.snippets_per_second:
        lengths = [shards.seconds_of(job) for job in jobs]
    else:
        lengths = [job.video.duration or usual for job in jobs]
    frames = sum(sampling.frames_in(length) for length in lengths)
    return Estimate(len(jobs), sum(lengths) / 3600, frames * size)


def check_room(needed: Estimate, folder: str | os.PathLike) -> int:
    """The bytes that are free where `folder` is or will be.

    Raises:
        UserError: they are fewer than needed.
    """
    there = pathlib.Path(folder).absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if needed.size > free:
        raise UserError(
            f"{folder}: about {needed.size / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are"
            " free: free some space, name"
            " another data_dir, or store fewer snippets, a smaller short side or a lower quality"
        )
    return free
