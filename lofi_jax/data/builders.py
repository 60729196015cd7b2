"""Videos and an annotation file made into a TFDS dataset of JPEG frames, without TensorFlow.

One example a video, one split a subset, in ArrayRecord files. The dataset remembers what it was
made from, so that data of other input never passes for it, and what was wrong with that input.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import errno
import fcntl
import functools
import itertools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from lofi_jax.data import annotations as annotation_files
from lofi_jax.data import records, video_folder
from lofi_jax.data import video as video_files
from lofi_jax.data.records import VERSION, folder_of, quiet
from lofi_jax.data.sampling import Sampling, read_record
from lofi_jax.data.video_folder import Job
from lofi_jax.errors import UserError

# A shard's records are all in memory while it is written.
_SHARD_BYTES = 256 << 20
# Roughly what a JPEG of quality 95 takes.
_BYTES_PER_PIXEL = 0.25

UNREADABLE = "unreadable videos (left out)"
BROKEN = "videos whose decoding breaks (used up to there)"
SHORTER = "videos over 1 s shorter than annotated"
CLIPPED = "segments ending past the video file's own end (clipped)"
OUTSIDE = "segments wholly past the video file's own end (dropped)"


@dataclasses.dataclass(frozen=True)
class Report:
    """What came of the input.

    Attributes:
        videos: how many each split holds.
        problems: what was wrong, reason -> entries such as "v_abc: no such file".
    """

    videos: dict[str, int]
    problems: dict[str, tuple[str, ...]]

    def summary(self) -> str:
        """A line of counts, then a line for each kind of problem with its first entries."""
        counts = ", ".join(f"{count} in {split}" for split, count in self.videos.items())
        lines = [f"{sum(self.videos.values())} videos ({counts})"]
        for reason, entries in self.problems.items():
            lines.append(f"{len(entries)} {reason}: {annotation_files.first(entries)}")
        return "\n".join(lines)


def build(
    name: str,
    video_dir: str | os.PathLike,
    annotations: str | os.PathLike,
    data_dir: str | os.PathLike,
    sampling: Sampling,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[tfds.core.DatasetBuilder, Report]:
    """Makes a dataset of those annotated videos that are there, or finds it made.

    Args:
        name: of the dataset, such as "activitynet".
        video_dir: holds each video as v_<id>.* or <id>.*, at any depth.
        annotations: a file in the ActivityNet form.
        data_dir: gets <name>/<sampling.name>/1.0.0/, whole or not at all.
        workers: threads that decode; None: one a core. What is written does not depend on it.
        progress: called after each video with the number done and their total.

    Returns:
        What `records.load` returns, and the report, which also lies in the dataset's folder as report.json.

    Raises:
        UserError: bad annotations, no usable video at all, a subset that cannot name a split, a
            full disk, or a dataset made from other input in the same place.
    """
    parsed = annotation_files.load(annotations)
    files = video_folder.find_videos(video_dir)
    jobs = video_folder.match(parsed, files)
    source = video_folder.fingerprint(annotations, video_dir, jobs)
    folder = folder_of(data_dir, name, sampling)
    with _reporting_disk_errors(folder), _lock(folder.parent):
        if not folder.exists():
            # While the lock is held nobody else builds here: these are a killed build's.
            for leftover in folder.parent.glob("incomplete.*"):
                shutil.rmtree(leftover)
            problems = video_folder.known_problems(parsed, files, jobs)
            if not jobs:
                raise UserError(
                    f"{video_dir}: holds none of the {len(parsed.videos)} annotated videos, as"
                    f" v_<id> or <id> with {' '.join(video_files.EXTENSIONS)}:"
                    f" {annotation_files.first(problems[video_folder.MISSING])}"
                )
            workers = workers or os.cpu_count() or 1
            videos: dict[str, list[dict[str, Any]]] = {subset: [] for subset in jobs}
            examples = _examples(
                jobs, parsed.classes, sampling, workers, problems, videos, progress
            )
            metadata = {
                "classes": parsed.classes,
                "source": source,
                "problems": problems,
                "videos": videos,
            }
            with contextlib.closing(examples):
                _write(name, data_dir, sampling, jobs, examples, metadata)
        builder = records.load(data_dir, name, sampling)
        video_folder.check_source(folder, builder.info.metadata["source"], source)
        report = _report(builder)
        annotation_files.write_json(folder / "report.json", dataclasses.asdict(report))
    return builder, report


def _report(builder: tfds.core.DatasetBuilder) -> Report:
    videos = {split: info.num_examples for split, info in builder.info.splits.items()}
    problems = builder.info.metadata["problems"]
    return Report(videos, {reason: tuple(entries) for reason, entries in problems.items()})


def _examples(
    jobs: Mapping[str, Sequence[Job]],
    classes: Sequence[str],
    sampling: Sampling,
    workers: int,
    problems: dict[str, list[str]],
    videos: dict[str, list[dict[str, Any]]],
    progress: Callable[[int, int], None],
) -> Iterator[dict[str, Any] | None]:
    """Each job's example in order, None where its video cannot be read.

    Adds what was wrong to `problems`, and the annotations of the examples to their subset's `videos`.

    Raises:
        UserError: before the last one, when there is no example at all.
    """
    ordered = [job for chosen in jobs.values() for job in chosen]
    subsets = (subset for subset, chosen in jobs.items() for _ in chosen)
    ahead, waiting, usable = iter(ordered), collections.deque(), 0
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for done, subset in enumerate(subsets, start=1):
                # Results wait in memory, so the threads may not run far ahead of the writing.
                for job in itertools.islice(ahead, 2 * workers - len(waiting)):
                    waiting.append(pool.submit(_example, job, classes, sampling))
                example, found = waiting.popleft().result()
                for reason, entry in found:
                    problems[reason].append(entry)
                usable += example is not None
                if done == len(ordered) and not usable:
                    first = annotation_files.first(problems[UNREADABLE])
                    raise UserError(f"not one of the {done} videos can be read: {first}")
                progress(done, len(ordered))
                if example is not None:
                    videos[subset].append(_annotation(example))
                yield example
        finally:
            pool.shutdown(cancel_futures=True)


def _example(
    job: Job, classes: Sequence[str], sampling: Sampling
) -> tuple[dict[str, Any] | None, list[tuple[str, str]]]:
    """One video's example, None where it cannot be read, and what was wrong as (reason, entry)."""
    video = job.video
    try:
        record, broken = read_record(job.path, sampling)
    except video_files.VideoError as error:
        return None, [(UNREADABLE, f"{video.video_id}: {error}")]
    duration = record["duration"]
    segments, kept, problems = _fit(video, duration)
    if broken:
        problems.append((BROKEN, f"{video.video_id}: {broken}"))
    if video.duration and duration < video.duration - 1:
        lengths = f"{duration:.2f} of {video.duration:.2f} s"
        problems.append((SHORTER, f"{video.video_id}: {lengths}"))
    labels = np.array([classes.index(label) for label in kept], np.int64)
    return record | {"video_id": video.video_id, "segments": segments, "labels": labels}, problems


def _annotation(example: Mapping[str, Any]) -> dict[str, Any]:
    """An example without its frames, as JSON can hold it."""
    return {
        "video_id": example["video_id"],
        "duration": example["duration"],
        "segments": example["segments"].tolist(),
        "labels": example["labels"].tolist(),
    }


def _fit(
    video: annotation_files.Video, duration: float
) -> tuple[np.ndarray, list[str], list[tuple[str, str]]]:
    """The segments ((M, 2) float64, seconds) and labels inside a duration, and what was wrong."""
    segments, labels, problems = [], [], []
    for (start, end), label in zip(video.segments.tolist(), video.labels, strict=True):
        entry = f"{video.video_id}: {start} to {end} of {duration:.2f} s"
        if start >= duration:
            problems.append((OUTSIDE, entry))
            continue
        if end > duration + annotation_files.DURATION_TOLERANCE:
            problems.append((CLIPPED, entry))
        segments.append((start, min(end, duration)))
        labels.append(label)
    return np.array(segments, np.float64).reshape(-1, 2), labels, problems


def _write(
    name: str,
    data_dir: str | os.PathLike,
    sampling: Sampling,
    jobs: Mapping[str, Sequence[Job]],
    examples: Iterator[dict[str, Any] | None],
    metadata: Mapping[str, Any],
) -> None:
    """Writes the examples into a dataset that appears when it is complete."""
    counts = {split: len(chosen) for split, chosen in jobs.items()}
    # TFDS wants a folder for downloads even where there are none.
    with quiet(), tempfile.TemporaryDirectory() as unused:
        writer = _Writer(name, data_dir, sampling, counts, examples, metadata)
        writer.download_and_prepare(download_dir=unused)


class _Writer(tfds.core.ShardBasedBuilder, skip_registration=True):
    """TFDS's writer of shards, since its generator-based one needs TensorFlow beyond 1 GB."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self,
        name: str,
        data_dir: str | os.PathLike,
        sampling: Sampling,
        counts: Mapping[str, int],
        examples: Iterator[dict[str, Any] | None],
        metadata: Mapping[str, Any],
    ):
        """Takes `counts[split]` of the examples, in this order, for each split."""
        self.name = name
        self._sampling, self._counts = sampling, counts
        self._examples, self._metadata = examples, metadata
        config = tfds.core.BuilderConfig(name=sampling.name, version=VERSION)
        super().__init__(data_dir=data_dir, config=config, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        integer = tfds.features.Scalar(np.int64)
        # TFDS's records hold float32 only, but for arrays kept as bytes.
        double = tfds.features.Tensor(shape=(), dtype=np.float64, encoding="bytes")
        pairs = tfds.features.Tensor(shape=(None, 2), dtype=np.float64, encoding="bytes")
        features = {
            "video_id": tfds.features.Text(),
            "frames": tfds.features.Sequence(tfds.features.Scalar(np.str_)),
            "height": integer,
            "width": integer,
            "duration": double,
            "fps": double,
            "segments": pairs,
            "labels": tfds.features.Tensor(shape=(None,), dtype=np.int64),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(self._metadata),
        )

    def _shard_iterators_per_split(self, dl_manager):
        side = self._sampling.short_side
        frame = _BYTES_PER_PIXEL * side * side * 16 / 9
        record = self._sampling.snippets * self._sampling.frames * frame
        most = max(1, round(_SHARD_BYTES / record))

        def shard(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
            for example in itertools.islice(self._examples, count):
                if example is not None:
                    yield example["video_id"], example

        # TFDS writes the shards one after the other in this order.
        return {
            split: [
                functools.partial(shard, min(most, count - start))
                for start in range(0, count, most)
            ]
            for split, count in self._counts.items()
        }

    def _log_download_bytes(self) -> None:
        """Prints nothing of downloads, for there are none."""

    def _log_download_done(self) -> None:
        """Prints nothing: the command tells the user."""


@contextlib.contextmanager
def _lock(folder: pathlib.Path) -> Iterator[None]:
    """Lets one process build at a time; another waits and then finds the dataset made."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _reporting_disk_errors(folder: pathlib.Path) -> Iterator[None]:
    """Turns what a full or read-only disk raises into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
    except RuntimeError as error:
        # ArrayRecord's writer raises these with the system's reason in its text.
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            if os.strerror(code) in str(error):
                raise UserError(f"{folder}: cannot be written ({os.strerror(code)})") from error
        raise
