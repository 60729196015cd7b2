"""A dataset read straight from its video files: scanned once, then described by a small file."""

import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lofi_jax import locks
from lofi_jax.data.annotations import formats
from lofi_jax.data.annotations.activitynet import Annotations, Video
from lofi_jax.data.ingest import annotate, metadata, video_folder
from lofi_jax.data.ingest.report import Report
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.record import Record
from lofi_jax.data.streamed.video_frames import VideoFrames, open_video
from lofi_jax.data.video.jpeg import Jpegs
from lofi_jax.data.video.packets import VideoError
from lofi_jax.errors import UserError, warn
from lofi_jax.files import read_or_none, read_own_json, write_json


class Scan:
    """What `scan` found: a dataset's annotations, and its records by number."""

    def __init__(self, content: dict[str, Any], video_dir: str | os.PathLike, sampling: Sampling):
        self._content, self._video_dir, self._sampling = content, video_dir, sampling

    @property
    def classes(self) -> tuple[str, ...]:
        """As `records.class_names`."""
        return tuple(self._content["classes"])

    def videos(self, split: str) -> list[Video]:
        """As `records.videos`."""
        return [metadata.video(known, split, self.classes) for known in self._entries(split)]

    def records(self, split: str) -> "StreamedRecords":
        """As `records.Records`."""
        return StreamedRecords(self._entries(split), self._video_dir, self._sampling)

    @property
    def quality(self) -> int:
        """Of the JPEGs, were they made."""
        return self._sampling.quality

    @property
    def report(self) -> Report:
        """The result of the scan."""
        counts = {split: len(entries) for split, entries in self._content["videos"].items()}
        problems = self._content["problems"]
        return Report(counts, {reason: tuple(entries) for reason, entries in problems.items()})

    def _entries(self, split: str) -> list[dict[str, Any]]:
        known = self._content["videos"]
        if not known.get(split):
            there = ", ".join(f"{len(entries)} in {name!r}" for name, entries in known.items())
            raise UserError(f"no videos of subset {split!r} can be read; there are {there}")
        return known[split]


class StreamedRecords:
    """Records as `records.Records` gives them, but for their frames, which are `VideoFrames`."""

    def __init__(
        self, entries: list[dict[str, Any]], video_dir: str | os.PathLike, sampling: Sampling
    ):
        self._entries, self._sampling = entries, sampling
        self._video_dir = pathlib.Path(video_dir).absolute()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, i: int) -> Record:
        return metadata.record(self._entries[i], self.frames(i))

    def frames(self, i: int) -> VideoFrames:
        """The frames of a record."""
        entry = self._entries[i]
        path = self._video_dir / entry["path"]
        return VideoFrames.sampled(path, entry["duration"], entry["fps"], self._sampling)


def _file(data_dir: str | os.PathLike, name: str, sampling: Sampling) -> pathlib.Path:
    return pathlib.Path(data_dir).absolute() / name / f"streamed_{sampling.name}.json"


def load(
    name: str, video_dir: str | os.PathLike, data_dir: str | os.PathLike, sampling: Sampling
) -> Scan:
    """What `scan` has found.

    Raises:
        UserError: it has not run.
    """
    path = _file(data_dir, name, sampling)
    if not path.exists():
        raise UserError(f"{path}: no such file; the stage data makes it")
    content = read_own_json(path)
    if not _is_sound(content):
        raise UserError(f"{path}: damaged: the stage data makes it again")
    return Scan(content, video_dir, sampling)


def _is_sound(content: Any) -> bool:
    """Whether a value is what `scan` writes."""
    try:
        for split, entries in content["videos"].items():
            for entry in entries:
                metadata.video(entry, split, content["classes"])
                metadata.record(entry, Jpegs())
                pathlib.Path(entry["path"])
        return {"annotations", "videos"} <= content["source"].keys() and bool(
            content["problems"].items
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return False


def scan(
    name: str,
    video_dir: str | os.PathLike,
    annotations: str | os.PathLike,
    data_dir: str | os.PathLike,
    sampling: Sampling,
    progress: Callable[[int, int], None] = lambda done, total: None,
    wait: bool = True,
) -> Scan:
    """Scans every annotated video found, unless that is already done.

    Args:
        name, video_dir, annotations, sampling, progress: as `builders.build`.
        data_dir: gets one file.
        wait: for another process that makes the same; see `locks.only`.

    Raises:
        UserError: bad annotations, no usable video at all, or a file made from other input.
    """
    video_dir = pathlib.Path(video_dir).absolute()
    files = video_folder.find_videos(video_dir)
    parsed = formats.load(annotations, files)
    jobs = video_folder.match(parsed, files)
    source = video_folder.fingerprint(annotations, video_dir, jobs)
    path = _file(data_dir, name, sampling)
    content = _known(path, source)
    if content is None:
        with locks.only(path, wait):
            # Another process may have made it meanwhile.
            content = _known(path, source)
            if content is None:
                problems = video_folder.known_problems(parsed, files, jobs)
                videos = _look_at_all(jobs, parsed, sampling, problems, progress)
                for entry in (entry for entries in videos.values() for entry in entries):
                    entry["path"] = os.path.relpath(entry["path"], video_dir)
                if not any(videos.values()):
                    raise UserError(
                        f"{video_dir}: none of the {len(parsed.videos)} annotated videos can be"
                        " read"
                    )
                content = {
                    "classes": parsed.classes,
                    "source": source,
                    "problems": problems,
                    "videos": videos,
                }
                write_json(path, content)
    return Scan(content, video_dir, sampling)


def _known(path: pathlib.Path, source: dict[str, Any]) -> dict[str, Any] | None:
    """What an earlier scan of the same input has found; None where it is to be made.

    Raises:
        UserError: it was of other input.
    """
    content = read_or_none(path)
    if path.exists() and not _is_sound(content):
        warn([f"{path}: is damaged, so the videos are scanned again"])
        return None
    if content is None:
        return None
    same = content["source"]["annotations"] == source["annotations"]
    if not same and content["source"]["videos"] == source["videos"]:
        return None  # only the annotations are others
    video_folder.check_source(path, content["source"], source)
    return content


def _look_at_all(
    jobs: Mapping[str, Sequence[video_folder.Job]],
    parsed: Annotations,
    sampling: Sampling,
    problems: dict[str, list[str]],
    progress: Callable[[int, int], None],
) -> dict[str, list[dict[str, Any]]]:
    """The entries of the videos that can be read, by subset; adds to the problems."""
    videos: dict[str, list[dict[str, Any]]] = {split: [] for split in jobs}
    total = sum(map(len, jobs.values()))
    progress(0, total)
    ordered = [(split, job) for split in jobs for job in jobs[split]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(lambda job: _look(job[1], parsed.classes, sampling), ordered)
        for done, ((split, _), (entry, found)) in enumerate(zip(ordered, looked, strict=True), 1):
            for reason, line in found:
                problems.setdefault(reason, []).append(line)
            if entry:
                videos[split].append(entry)
            progress(done, total)
    return videos


def _look(job: video_folder.Job, classes: Sequence[str], sampling: Sampling):
    """One video's entry, None where it cannot be read, and what was wrong as (reason, entry)."""
    try:
        opened, broken = open_video(job.path, sampling)
    except VideoError as error:
        return None, [(annotate.UNREADABLE, f"{job.video.video_id}: {error}")]
    record, problems = annotate.annotate(job.video, opened, broken, classes)
    return {"path": str(job.path)} | metadata.of(record), problems
