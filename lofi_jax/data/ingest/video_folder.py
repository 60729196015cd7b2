"""Finds the annotated videos in a folder, and fingerprints a dataset's input."""

import collections
import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lofi_jax import errors
from lofi_jax.data import video_ids
from lofi_jax.data.annotations import activitynet as annotation_files
from lofi_jax.data.annotations import formats
from lofi_jax.data.video import video_file as video_files
from lofi_jax.errors import UserError
from lofi_jax.files import read_bytes, regular

MISSING = "annotated videos missing from the folder"
UNANNOTATED = "video files without an annotation"


def find_videos(video_dir: str | os.PathLike) -> dict[str, pathlib.Path]:
    """The video files below a folder by name without extension; of two with one name, the one
    nearer the top.

    Raises:
        UserError: there is no such folder.
    """
    root = pathlib.Path(video_dir)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of videos")
    found: dict[str, pathlib.Path] = {}
    for path in sorted(video_files_in(root), key=lambda path: (len(path.parts), path)):
        found.setdefault(path.stem, path)
    return found


def video_files_in(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """All files below a folder that are named as videos; each folder is looked into once, however
    many links lead to it.
    """
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        known = os.stat(folder)
        if (known.st_dev, known.st_ino) in seen:
            folders.clear()
            continue
        seen.add((known.st_dev, known.st_ino))
        folders.sort()
        for name in names:
            if name.lower().endswith(video_files.EXTENSIONS):
                yield pathlib.Path(folder, name)


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """An annotated video and its file.

    Attributes:
        size, modified: the file's bytes, and the time of its last change in nanoseconds.
    """

    video: annotation_files.Video
    path: pathlib.Path
    size: int
    modified: int


def match(
    parsed: annotation_files.Annotations, files: Mapping[str, pathlib.Path]
) -> dict[str, list[Job]]:
    """The annotated videos found, by subset, in the order of the annotations."""
    jobs: dict[str, list[Job]] = collections.defaultdict(list)
    for video_id, video in parsed.videos.items():
        name = video_ids.find(video_id, files)
        if name is not None:
            path = files[name]
            try:
                file = regular(path)
                size, modified = file.st_size, file.st_mtime_ns
            except OSError:  # the build says why it cannot be read
                size, modified = 0, 0
            jobs[video.subset].append(Job(video, path, size, modified))
    for subset in jobs:
        if not re.fullmatch(r"[\w-]+", subset) or subset == "all":
            raise UserError(
                f"subset {subset!r} cannot name a split: use letters, digits, _ and -, and not"
                " the word 'all'"
            )
    return dict(jobs)


def known_problems(
    parsed: annotation_files.Annotations,
    files: Mapping[str, pathlib.Path],
    jobs: Mapping[str, Sequence[Job]],
) -> dict[str, list[str]]:
    """Problems of the input before any video is opened, reason -> entries."""
    problems = collections.defaultdict(list)
    for reason, entries in parsed.problems.items():
        problems[reason].extend(entries)
    chosen = {job.video.video_id: job.path for jobs in jobs.values() for job in jobs}
    if missing := [video_id for video_id in parsed.videos if video_id not in chosen]:
        problems[MISSING] = missing
    if idle := set(files.values()) - set(chosen.values()):
        problems[UNANNOTATED] = sorted(errors.one_line(path.name) for path in idle)
    return problems


def fingerprint(
    annotations: str | os.PathLike,
    video_dir: str | os.PathLike,
    jobs: Mapping[str, Sequence[Job]],
) -> dict[str, Any]:
    """What a dataset is made from: the annotation file's hash, and the size of each video used."""
    return {
        "annotations": hash_of(annotations),
        "videos": {
            job.path.relative_to(video_dir).as_posix(): job.size
            for chosen in jobs.values()
            for job in chosen
        },
    }


def hash_of(annotations: str | os.PathLike) -> str:
    """A hash of an annotation file, or of a folder of them."""
    digest = hashlib.sha256()
    for path in formats.files_of(annotations):
        digest.update(read_bytes(path))
    return digest.hexdigest()


def check_source(folder: pathlib.Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raises a `UserError` that says what changed since the dataset was made, if anything did."""
    before, now = old["videos"], new["videos"]
    changes = ["another annotation file"] if old["annotations"] != new["annotations"] else []
    for what, names in (
        ("more", now.keys() - before.keys()),
        ("fewer", before.keys() - now.keys()),
        ("changed", {name for name in before.keys() & now.keys() if before[name] != now[name]}),
    ):
        if names:
            changes.append(f"{len(names)} videos {what} ({errors.first(sorted(names))})")
    if changes:
        raise UserError(
            f"{folder} was made from other input (now {', '.join(changes)}):"
            " delete that folder or name another data_dir"
        )
