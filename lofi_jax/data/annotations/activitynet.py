"""Annotation files in the ActivityNet form: the actions of each video.

`{"version": str, "database": {video_id: {"subset": str, "duration": seconds, "annotations":
[{"segment": [start, end], "label": str}]}}}`, seconds throughout; and, for cross-validation, a
video's "fold". ActivityNet, HACS and the usual
THUMOS14 file have this form; THUMOS14 has no durations, and its classes may overlap in time (every
CliffDiving segment is a Diving segment too), which needs no special care here.
"""

import collections
import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lofi_jax.errors import UserError, one_line
from lofi_jax.files import is_number, read_json, write_json

# Annotation files round times to a few decimals, so an end may pass the duration by that much.
DURATION_TOLERANCE = 0.01

NOT_FORWARD = "segments with end <= start (dropped)"
BEFORE_START = "segments starting before 0 (clipped)"
PAST_END = f"segments ending over {DURATION_TOLERANCE} s past the duration (clipped)"
OUTSIDE = "segments wholly outside the video (dropped)"
BAD_DURATION = "durations that are not above 0 (ignored)"
DUPLICATE = "duplicate keys (first kept)"
NO_SEGMENTS = "videos without segments"


@dataclasses.dataclass(frozen=True, eq=False)
class Video:
    """One video's annotation.

    Attributes:
        video_id: its key in the file.
        subset: such as "training".
        duration: seconds, or None where the file does not say.
        segments: (M, 2) float64, start and end in seconds.
        labels: M class names.
        fold: of a data set too small for one split: the number of the part that is tested
            together; None where the file does not say.
    """

    video_id: str
    subset: str
    duration: float | None
    segments: np.ndarray
    labels: tuple[str, ...]
    fold: int | None = None

    @property
    def known_duration(self) -> float:
        """The duration in seconds, of a video that must have one.

        Raises:
            UserError: nobody says it.
        """
        if self.duration is None:
            raise UserError(
                f"video {self.video_id!r} has no duration in its annotation file: add it"
            )
        return self.duration


@dataclasses.dataclass(frozen=True, eq=False)
class Annotations:
    """A whole annotation file.

    Attributes:
        version: the file's own, "" where it has none.
        videos: by id, in the file's order.
        problems: what was wrong and repaired, reason -> entries such as "v_abc[3]: 7.0 to 7.0".
        path: the file, for messages.
    """

    version: str
    videos: dict[str, Video]
    problems: dict[str, tuple[str, ...]]
    path: str = "annotations"

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted, so that a label's index is the same on every machine."""
        return tuple(sorted({label for video in self.videos.values() for label in video.labels}))

    def subset(self, name: str) -> dict[str, Video]:
        """The videos of one subset, in the file's order; a `UserError` when there are none."""
        chosen = {key: video for key, video in self.videos.items() if video.subset == name}
        if not chosen:
            there = ", ".join(sorted({repr(video.subset) for video in self.videos.values()}))
            raise UserError(f"{self.path}: no video is of subset {name!r}, only of {there}")
        return chosen


def load(path: str | os.PathLike, repair: bool = True) -> Annotations:
    """Reads an annotation file.

    Args:
        path: a JSON file in the ActivityNet form.
        repair: drop segments with end <= start or outside the video, and clip the others to
            [0, duration]; all but ends within `DURATION_TOLERANCE` seconds of the duration are
            listed in `problems`. False keeps every segment as written, which is what the official
            evaluation does.

    Raises:
        UserError: no file, not JSON, not the ActivityNet form (names video and entry), no videos.
    """
    data, repeated = read_json(path)
    database = data.get("database") if isinstance(data, dict) else None
    if not isinstance(database, dict):
        raise UserError(f"{path}: no 'database' object, so this is not the ActivityNet form")
    if not database:
        raise UserError(f"{path}: the database holds no videos")
    parsed = (_parse(path, video_id, entry) for video_id, entry in database.items())
    problems = {DUPLICATE: repeated} if repeated else {}
    return collect(path, parsed, problems, str(data.get("version", "")), repair)


def collect(
    path: str | os.PathLike,
    parsed: Iterable[Video],
    problems: Mapping[str, Sequence[str]],
    version: str = "",
    repair: bool = True,
) -> Annotations:
    """Puts together videos of different ids from one file; the last step of each form's reader.

    Args:
        problems: what was wrong with the file itself, reason -> entries.
        repair: see `load`.

    Raises:
        UserError: an empty label, or a segment that is not of two numbers; names the video and the
            entry.
    """
    repaired = collections.defaultdict(list, {key: list(found) for key, found in problems.items()})
    videos = {}
    for video in parsed:
        video_id = video.video_id
        _check(path, video)
        if video.duration is not None and not (is_number(video.duration) and video.duration > 0):
            repaired[BAD_DURATION].append(f"{video_id}: {one_line(repr(video.duration), 40)}")
            video = dataclasses.replace(video, duration=None)
        if repair:
            video, found = _repair(video)
            for reason, text in found:
                repaired[reason].append(text)
        if not video.labels:
            repaired[NO_SEGMENTS].append(video_id)
        videos[video_id] = video
    frozen = {reason: tuple(entries) for reason, entries in repaired.items()}
    return Annotations(version, videos, frozen, str(path))


def save(path: str | os.PathLike, videos: Iterable[Video], version: str = "1.0") -> None:
    """Writes `videos` in the ActivityNet form, atomically.

    Raises:
        UserError: two videos of one id, or the file cannot be written.
    """
    database: dict[str, Any] = {}
    for video in videos:
        if video.video_id in database:
            raise UserError(f"{path}: two videos are called {video.video_id!r}: rename one")
        entry: dict[str, Any] = {"subset": video.subset}
        if video.duration is not None:
            entry["duration"] = float(video.duration)
        if video.fold is not None:
            entry["fold"] = video.fold
        entry["annotations"] = [
            {"segment": segment, "label": label}
            for segment, label in zip(video.segments.tolist(), video.labels, strict=True)
        ]
        database[video.video_id] = entry
    write_json(path, {"version": version, "taxonomy": [], "database": database})


def _parse(path: str | os.PathLike, video_id: str, entry: Any) -> Video:
    where = f"{path}: video {video_id!r}"
    if not isinstance(entry, dict):
        raise UserError(f"{where} is not an object with 'subset' and 'annotations'")
    subset, duration = entry.get("subset"), entry.get("duration")
    if not isinstance(subset, str):
        raise UserError(f"{where}: 'subset' is {subset!r}, not a name")
    if isinstance(duration, str):
        # As in HACS's own file: "92.166667".
        with contextlib.suppress(ValueError):
            duration = float(duration)
    if not isinstance(duration, int | float | None) or isinstance(duration, bool):
        raise UserError(f"{where}: 'duration' is {duration!r}, not seconds")
    fold = entry.get("fold")
    if not isinstance(fold, int | None) or isinstance(fold, bool) or (fold or 0) < 0:
        raise UserError(f"{where}: 'fold' is {fold!r}, not a number from 0 on")
    annotations = entry.get("annotations")
    if not isinstance(annotations, list):
        raise UserError(f"{where}: 'annotations' is not a list")
    segments, labels = [], []
    for index, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            raise UserError(f"{where}, entry {index} is not an object with 'segment' and 'label'")
        segment, label = annotation.get("segment"), annotation.get("label")
        if not (isinstance(segment, list) and len(segment) == 2 and all(map(is_number, segment))):
            raise UserError(f"{where}, entry {index}: 'segment' is {segment!r}, not [start, end]")
        segments.append(segment)
        labels.append(checked_label(f"{where}, entry {index}", label))
    array = np.array(segments, dtype=np.float64).reshape(-1, 2)
    return Video(video_id, subset, duration, array, tuple(labels), fold)


def checked_label(where: str, label: Any) -> str:
    """A class's name from a file.

    Raises:
        UserError: it is none; says `where`.
    """
    if not isinstance(label, str) or not label:
        raise UserError(f"{where}: 'label' is {label!r}, not a class name")
    return label


def _check(path: str | os.PathLike, video: Video) -> None:
    entries = zip(video.segments.tolist(), video.labels, strict=True)
    for index, (segment, label) in enumerate(entries):
        where = f"{path}: video {video.video_id!r}, entry {index}"
        checked_label(where, label)
        if not all(map(is_number, segment)):
            raise UserError(f"{where}: 'segment' is {segment!r}, not two times in seconds")


def _repair(video: Video) -> tuple[Video, list[tuple[str, str]]]:
    """The video with valid segments only, and each repair as (reason, entry)."""
    last = math.inf if video.duration is None else video.duration
    segments, labels, found = [], [], []
    for index, ((start, end), label) in enumerate(
        zip(video.segments.tolist(), video.labels, strict=True)
    ):
        entry = f"{video.video_id}[{index}]: {start} to {end}"
        if end <= start:
            found.append((NOT_FORWARD, entry))
        elif end <= 0 or start >= last:
            found.append((OUTSIDE, entry))
        else:
            if start < 0:
                found.append((BEFORE_START, entry))
            if end > last + DURATION_TOLERANCE:
                found.append((PAST_END, f"{entry} of {last}"))
            segments.append((max(start, 0.0), min(end, last)))
            labels.append(label)
    array = np.array(segments, dtype=np.float64).reshape(-1, 2)
    return dataclasses.replace(video, segments=array, labels=tuple(labels)), found
