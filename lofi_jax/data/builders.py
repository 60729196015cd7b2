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
import hashlib
import itertools
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from lofi_jax.data import annotations as annotation_files
from lofi_jax.data import video as video_files
from lofi_jax.errors import UserError

VERSION = "1.0.0"
# A shard's records are all in memory while it is written.
_SHARD_BYTES = 256 << 20
# Roughly what a JPEG of quality 95 takes.
_BYTES_PER_PIXEL = 0.25

MISSING = "annotated videos missing from the folder"
UNREADABLE = "unreadable videos (left out)"
BROKEN = "videos whose decoding breaks (used up to there)"
SHORTER = "videos over 1 s shorter than annotated"
CLIPPED = "segments ending past the video file's own end (clipped)"
OUTSIDE = "segments wholly past the video file's own end (dropped)"
UNANNOTATED = "video files without an annotation"


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a video is stored.

    Attributes:
        snippets: snippets a video.
        frames: frames a snippet.
        stride: native frames between a snippet's frames; 0 spreads them evenly over the snippet.
        short_side: pixels of a stored frame's shorter side, its aspect kept.
        quality: of the JPEGs, 1 to 100.
    """

    snippets: int = 100
    frames: int = 8
    stride: int = 8
    short_side: int = 256
    quality: int = 95

    def __post_init__(self):
        lowest = {"snippets": 1, "frames": 1, "stride": 0, "short_side": 1, "quality": 1}
        for key, least in lowest.items():
            if getattr(self, key) < least:
                raise UserError(f"{key} is {getattr(self, key)}: it must be at least {least}")
        if self.quality > 100:
            raise UserError(f"quality is {self.quality}: it must be at most 100")

    @property
    def name(self) -> str:
        """The name of the dataset's config, such as "100x8_stride8_256px_q95"."""
        size = f"{self.snippets}x{self.frames}_stride{self.stride}"
        return f"{size}_{self.short_side}px_q{self.quality}"


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


def find_videos(video_dir: str | os.PathLike) -> dict[str, pathlib.Path]:
    """The video files below a folder by name without extension; of two alike, the least deep.

    Raises:
        UserError: there is no such folder.
    """
    root = pathlib.Path(video_dir)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of videos")
    paths = [
        pathlib.Path(folder, name)
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
        if name.lower().endswith(video_files.EXTENSIONS)
    ]
    found: dict[str, pathlib.Path] = {}
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        found.setdefault(path.stem, path)
    return found


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
        What `load` returns, and the report, which also lies in the dataset's folder as report.json.

    Raises:
        UserError: bad annotations, no usable video at all, a subset that cannot name a split, a
            full disk, or a dataset made from other input in the same place.
    """
    parsed = annotation_files.load(annotations)
    files = find_videos(video_dir)
    jobs = _match(parsed, files)
    source = _fingerprint(annotations, video_dir, jobs)
    folder = _folder(data_dir, name, sampling)
    with _reporting_disk_errors(folder), _lock(folder.parent):
        if not folder.exists():
            # While the lock is held nobody else builds here: these are a killed build's.
            for leftover in folder.parent.glob("incomplete.*"):
                shutil.rmtree(leftover)
            problems = _known_problems(parsed, files, jobs)
            if not jobs:
                raise UserError(
                    f"{video_dir}: holds none of the {len(parsed.videos)} annotated videos, as"
                    f" v_<id> or <id> with {' '.join(video_files.EXTENSIONS)}:"
                    f" {annotation_files.first(problems[MISSING])}"
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
        builder = load(data_dir, name, sampling)
        _check_source(folder, builder.info.metadata["source"], source)
        report = _report(builder)
        annotation_files.write_json(folder / "report.json", dataclasses.asdict(report))
    return builder, report


def load(data_dir: str | os.PathLike, name: str, sampling: Sampling) -> tfds.core.DatasetBuilder:
    """The builder that reads a dataset made by `build`; see `Records` and `class_names`.

    Raises:
        UserError: there is none.
    """
    folder = _folder(data_dir, name, sampling)
    if not folder.exists():
        raise UserError(
            f"{folder}: no such dataset; python -m lofi_jax.prepare --dataset={name} makes it"
        )
    with _quiet():
        return tfds.builder_from_directory(folder)


def class_names(builder: tfds.core.DatasetBuilder) -> tuple[str, ...]:
    """The names of the classes, sorted; the labels of a record are their indices."""
    return tuple(builder.info.metadata["classes"])


def videos(builder: tfds.core.DatasetBuilder, split: str) -> list[annotation_files.Video]:
    """The annotations of a split's videos in the order of its `Records`, without reading a frame."""
    classes = class_names(builder)
    return [
        annotation_files.Video(
            video_id=video["video_id"],
            subset=split,
            duration=video["duration"],
            segments=np.array(video["segments"], np.float64).reshape(-1, 2),
            labels=tuple(classes[label] for label in video["labels"]),
        )
        for video in builder.info.metadata["videos"][split]
    ]


class Records(Sequence[dict[str, Any]]):
    """The records of one split by number: a source for Grain, picklable into its workers.

    Each is a dict of "video_id" (str); "frames" (snippets * frames JPEGs as bytes, snippet after
    snippet as in `video.sample_times`), their "height" and "width" (int, pixels); "duration"
    (float, seconds) and "fps" (float) of the video file; "segments" ((M, 2) float64, seconds) and
    "labels" ((M,) int64).
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        """Opens a split; a `UserError` when there is none of that name, or nothing in it."""
        counts = {name: info.num_examples for name, info in builder.info.splits.items()}
        if not counts.get(split):
            there = ", ".join(f"{count} in {name!r}" for name, count in counts.items())
            raise UserError(f"{builder.data_dir}: no videos of subset {split!r}; it has {there}")
        # Not TFDS's whole source, which takes all that is known of the dataset into every worker.
        self._serialized = builder.as_data_source(split).data_source
        self._features = builder.info.features

    def __len__(self) -> int:
        return len(self._serialized)

    def __getitem__(self, index: int) -> dict[str, Any]:
        # The range takes negative numbers and raises IndexError, neither of which the source does.
        serialized = self._serialized[range(len(self))[index]]
        record = self._features.deserialize_example_np(serialized)
        return record | {
            "video_id": record["video_id"].decode(),
            "height": int(record["height"]),
            "width": int(record["width"]),
            "duration": float(record["duration"]),
            "fps": float(record["fps"]),
        }


def read_record(path: str | os.PathLike, sampling: Sampling) -> tuple[dict[str, Any], str]:
    """Makes of any video file the record that a dataset would hold of it, without annotation.

    Returns:
        A record as in `Records`, named after the file, and how much of the video it covers where
        decoding breaks, such as "decodes up to 2.80 of 5.00 s", else "".

    Raises:
        video.VideoError: nothing can be decoded.
    """

    def encode(image: np.ndarray) -> tuple[bytes, tuple[int, int]]:
        quality = [cv2.IMWRITE_JPEG_QUALITY, sampling.quality]
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        return jpeg.tobytes(), image.shape[:2]

    sample = video_files.sample(
        path, sampling.snippets, sampling.frames, sampling.stride, sampling.short_side, encode
    )
    height, width = sample.frames[0][1]
    duration = sample.info.duration
    record = {
        "video_id": pathlib.Path(path).stem,
        "frames": [jpeg for jpeg, _ in sample.frames],
        "height": height,
        "width": width,
        "duration": duration,
        "fps": sample.info.fps,
        "segments": np.zeros((0, 2)),
        "labels": np.zeros(0, np.int64),
    }
    covered = f"decodes up to {duration:.2f} of {sample.stated:.2f} s" if sample.broken else ""
    return record, covered


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """An annotated video and its file."""

    video: annotation_files.Video
    path: pathlib.Path


def _match(
    parsed: annotation_files.Annotations, files: Mapping[str, pathlib.Path]
) -> dict[str, list[_Job]]:
    """The annotated videos that are there, by subset, in the order of the annotations."""
    jobs: dict[str, list[_Job]] = collections.defaultdict(list)
    for video_id, video in parsed.videos.items():
        path = files.get(f"v_{video_id}", files.get(video_id))
        if path is not None:
            jobs[video.subset].append(_Job(video, path))
    for subset in jobs:
        if not re.fullmatch(r"[\w-]+", subset) or subset == "all":
            raise UserError(
                f"subset {subset!r} cannot name a split: use letters, digits, _ and -, and not"
                " the word 'all'"
            )
    return dict(jobs)


def _known_problems(
    parsed: annotation_files.Annotations,
    files: Mapping[str, pathlib.Path],
    jobs: Mapping[str, Sequence[_Job]],
) -> dict[str, list[str]]:
    """What is wrong with the input before any video is opened, reason -> entries."""
    problems = collections.defaultdict(list)
    for reason, entries in parsed.problems.items():
        problems[reason].extend(entries)
    chosen = {job.video.video_id: job.path for jobs in jobs.values() for job in jobs}
    if missing := [video_id for video_id in parsed.videos if video_id not in chosen]:
        problems[MISSING] = missing
    if idle := set(files.values()) - set(chosen.values()):
        problems[UNANNOTATED] = sorted(path.name for path in idle)
    return problems


def _folder(data_dir: str | os.PathLike, name: str, sampling: Sampling) -> pathlib.Path:
    return pathlib.Path(data_dir).absolute() / name / sampling.name / VERSION


def _fingerprint(
    annotations: str | os.PathLike,
    video_dir: str | os.PathLike,
    jobs: Mapping[str, Sequence[_Job]],
) -> dict[str, Any]:
    """What a dataset is made from: the annotation file's hash, and the size of each video used."""
    return {
        "annotations": hashlib.sha256(pathlib.Path(annotations).read_bytes()).hexdigest(),
        "videos": {
            job.path.relative_to(video_dir).as_posix(): job.path.stat().st_size
            for chosen in jobs.values()
            for job in chosen
        },
    }


def _check_source(folder: pathlib.Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raises a `UserError` that says what changed since the dataset was made, if anything did."""
    before, now = old["videos"], new["videos"]
    changes = ["another annotation file"] if old["annotations"] != new["annotations"] else []
    for what, names in (
        ("more", now.keys() - before.keys()),
        ("fewer", before.keys() - now.keys()),
        ("changed", {name for name in before.keys() & now.keys() if before[name] != now[name]}),
    ):
        if names:
            changes.append(f"{len(names)} videos {what} ({annotation_files.first(sorted(names))})")
    if changes:
        raise UserError(
            f"{folder} was made from other input: now there are {', '.join(changes)};"
            " delete that folder or name another data_dir"
        )


def _report(builder: tfds.core.DatasetBuilder) -> Report:
    videos = {split: info.num_examples for split, info in builder.info.splits.items()}
    problems = builder.info.metadata["problems"]
    return Report(videos, {reason: tuple(entries) for reason, entries in problems.items()})


def _examples(
    jobs: Mapping[str, Sequence[_Job]],
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
    job: _Job, classes: Sequence[str], sampling: Sampling
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
    jobs: Mapping[str, Sequence[_Job]],
    examples: Iterator[dict[str, Any] | None],
    metadata: Mapping[str, Any],
) -> None:
    """Writes the examples into a dataset that appears when it is complete."""
    counts = {split: len(chosen) for split, chosen in jobs.items()}
    # TFDS wants a folder for downloads even where there are none.
    with _quiet(), tempfile.TemporaryDirectory() as unused:
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
def _quiet() -> Iterator[None]:
    """Keeps TFDS from telling of every step, and of a config that its class does not list."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


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
