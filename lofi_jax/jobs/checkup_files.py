"""What the doctor asks of the video files, the disk and the memory."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from lofi_jax.checkup import space
from lofi_jax.checkup.finding import Finding
from lofi_jax.checkup.frame_rates import Rate
from lofi_jax.config import Config, full_fidelity
from lofi_jax.data.ingest import video_folder
from lofi_jax.data.prepared import disk
from lofi_jax.data.video import packets, video_file
from lofi_jax.run import sources
from lofi_jax.run.workdir import Workdir

_TIMED = 2, 64  # videos, and frames of each, that are decoded to time it
_BUFFERED = 4  # batches of frames that the loader holds


@dataclasses.dataclass(frozen=True)
class Headers:
    """What the headers of the videos' files say, by id.

    Attributes:
        durations: in seconds, of those that say it.
        rates: frames a second.
        broken: why a file cannot be opened.
    """

    durations: Mapping[str, float]
    rates: Mapping[str, Rate]
    broken: Mapping[str, str]


def headers_of(paths: Mapping[str, pathlib.Path]) -> Headers:
    """The headers of files, by id."""
    durations, rates, broken = {}, {}, {}
    for video_id, path in paths.items():
        try:
            with packets.open_video(path) as (container, stream):
                if stated := packets.stated_duration(container, stream):
                    durations[video_id] = stated
                average = float(stream.average_rate or 0)
                rates[video_id] = Rate(average, float(stream.base_rate or average))
        except packets.VideoError as error:
            broken[video_id] = str(error)
    return Headers(durations, rates, broken)


def room(
    config: Config, workdir: Workdir, jobs: Sequence[video_folder.Job]
) -> tuple[list[Finding], list[str]]:
    """The disk that prepared frames take and the memory of batches, against what there is."""
    data, findings, facts = config.data, [], []
    folder = pathlib.Path(data.data_dir or workdir.data)
    full = full_fidelity(config)
    if not data.streaming:
        estimate = disk.estimate(jobs, sources.sampling_of(config))
        # Of a dataset that is there already nothing is needed.
        if not any(folder.glob("*/**/*.array_record*")):
            remedy = "name another config.data.data_dir, or lower config.data.short_side or quality"
            findings += space.check(f"disk at {folder}", estimate.size, _free(folder), remedy)
        facts.append(f"prepared frames: {estimate}")
    frames = full.snippets * data.frames * full.height * full.width * 3
    needed = float(_BUFFERED * max(config.joint.batch_size, 1) * frames)
    remedy = "lower config.joint.batch_size, config.data.snippets or the size of frames"
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    findings += space.check("memory for batches of frames", needed, float(memory), remedy)
    facts.append(f"batches of frames take up to {needed / 1e9:.2f} GB of memory")
    return findings, facts


def _free(folder: pathlib.Path) -> float:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    status = os.statvfs(there)
    return float(status.f_bavail * status.f_frsize)


def decoded_per_second(config: Config, paths: Sequence[pathlib.Path]) -> float:
    """Frames a second of processor time, of a few files, at the stored size."""
    videos, most = _TIMED
    frames = spent = 0.0
    for path in paths[:: max(1, len(paths) // videos)][:videos]:
        try:
            info = video_file.probe(path)
            wanted = np.arange(min(most, info.frames)) / max(info.fps, 1e-6)
            begun = time.thread_time()
            for _ in video_file.frames_at(path, wanted, config.data.short_side):
                frames += 1
            spent += time.thread_time() - begun
        except packets.VideoError:
            continue
    return frames / spent if spent else 0.0
