"""Label Studio's time ranges of videos: exported annotations read, detections written as
pre-annotations.

Its `TimelineLabels` count frames from 1, and a range holds both its ends. A frame lasts 1 / fps
seconds, where fps is what the labeling config gives the player as `frameRate`: 24 unless it says
otherwise. A task's own "fps" says so here, and with `frameRate="$fps"` there. A task's "subset" is
its subset, by default "training".

Sources: labelstud.io/tags/timelinelabels, /tags/video, /guide/export (JSON and JSON-MIN) and
/guide/predictions.
"""

import contextlib
import os
import pathlib
import urllib.parse
import xml.sax.saxutils
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lofi_jax.data import video_ids
from lofi_jax.data.annotations import activitynet
from lofi_jax.data.annotations.activitynet import Annotations, Video
from lofi_jax.errors import UserError
from lofi_jax.files import is_number, read_json, regular

FPS = 24.0  # of a player without a frameRate
SUBSET = "training"


def is_form(path: str | os.PathLike) -> bool:
    """Whether a JSON file is an export of Label Studio's: a list, of tasks."""
    try:
        regular(path)
        with open(path, encoding="utf-8-sig") as file:
            return file.read(100).lstrip().startswith("[")
    except (OSError, ValueError):
        return False


def load(path: str | os.PathLike, repair: bool = True) -> Annotations:
    """Reads an exported file, JSON or JSON-MIN; of several annotations of a task the last that is
    not cancelled counts.

    Args:
        path: the file.
        repair: see `activitynet.load`.

    Raises:
        UserError: not such a file, a task without a video, or a bad range; names the task.
    """
    data, repeated = read_json(path)
    if not (isinstance(data, list) and data and all(isinstance(task, dict) for task in data)):
        raise UserError(f"{path}: not Label Studio's list of tasks")
    videos: dict[str, Video] = {}
    for index, task in enumerate(data):
        video = _video(f"{path}: task {task.get('id', index)}", task)
        if video.video_id in videos:
            raise UserError(f"{path}: two tasks are of the video {video.video_id!r}")
        videos[video.video_id] = video
    problems = {activitynet.DUPLICATE: repeated} if repeated else {}
    return activitynet.collect(path, videos.values(), problems, repair=repair)


def _video(where: str, task: Mapping[str, Any]) -> Video:
    minimal = "data" not in task
    data = task if minimal else task["data"]
    if not isinstance(data, dict):
        raise UserError(f"{where}: 'data' is {data!r}, not an object that names the video")
    address = _address(data)
    if address is None:
        raise UserError(f"{where}: names no video file")
    fps = data.get("fps", FPS)
    if not is_number(fps) or fps <= 0:
        raise UserError(f"{where}: 'fps' is {fps!r}, not frames a second")
    subset = data.get("subset", SUBSET)
    if not isinstance(subset, str):
        raise UserError(f"{where}: 'subset' is {subset!r}, not a name")
    segments, labels = [], []
    for value in _minimal_values(task) if minimal else _values(where, task):
        names = value.get("timelinelabels")
        if not isinstance(names, list):
            raise UserError(f"{where}: 'timelinelabels' is {names!r}, not a list of labels")
        names = [activitynet.checked_label(where, name) for name in names]
        for span in _objects(where, "ranges", value.get("ranges")):
            start, end = span.get("start"), span.get("end")
            if not (is_number(start) and is_number(end) and 1 <= start <= end):
                raise UserError(f"{where}: the range {span!r} is not frames from 1, start to end")
            segments += [((start - 1) / fps, end / fps)] * len(names)
            labels += names
    array = np.array(segments, np.float64).reshape(-1, 2)
    return Video(video_ids.of_file(address), subset, None, array, tuple(labels))


def _address(data: Mapping[str, Any]) -> str | None:
    """The path of a task's video: its only value, or the one called "video", that is a file's."""
    for key in ("video", *sorted(data)):
        text = data.get(key)
        if isinstance(text, str):
            with contextlib.suppress(ValueError):  # no URL
                url = urllib.parse.urlsplit(text)
                inner = urllib.parse.parse_qs(url.query).get("d", [url.path])[0]  # local files
                if pathlib.PurePosixPath(inner).suffix:
                    return inner
    return None


def _values(where: str, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of a task's ranges."""
    annotations = _objects(where, "annotations", task.get("annotations", []))
    done = [one for one in annotations if not one.get("was_cancelled")]
    regions = _objects(where, "result", done[-1].get("result", []) if done else [])
    ranges = [one.get("value") for one in regions if one.get("type") == "timelinelabels"]
    return _objects(where, "value", ranges)


def _objects(where: str, key: str, found: Any) -> list[dict[str, Any]]:
    """What a key of a task holds, checked to be a list of objects."""
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UserError(f"{where}: {key!r} is {found!r}, not a list of objects")
    return found


def _minimal_values(task: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for value in task.values():
        if isinstance(value, list):
            yield from (v for v in value if isinstance(v, dict) and "timelinelabels" in v)


def tasks(
    detections: Mapping[str, Sequence[Mapping[str, Any]]],
    files: Mapping[str, str],
    fps: Mapping[str, float],
    model: str,
) -> list[dict[str, Any]]:
    """Detections as tasks with predictions, for import.

    Args:
        detections: {video: [{"label", "score", "segment": [start, end] in seconds}]}.
        files, fps: each video's file name and frame rate.
        model: the name of the model's version.
    """
    return [
        {
            "data": {"video": f"/data/local-files/?d={files[video]}", "fps": fps[video]},
            "predictions": [
                {
                    "model_version": model,
                    "score": max((entry["score"] for entry in found), default=0.0),
                    "result": [_region(i, entry, fps[video]) for i, entry in enumerate(found)],
                }
            ],
        }
        for video, found in detections.items()
    ]


def _region(index: int, entry: Mapping[str, Any], fps: float) -> dict[str, Any]:
    start, after = frames(entry["segment"], fps)
    span = {"start": start + 1, "end": after}
    return {
        "id": f"lofi_{index}",
        "type": "timelinelabels",
        "from_name": "timelineLabels",
        "to_name": "video",
        "score": entry["score"],
        "value": {"ranges": [span], "timelinelabels": [entry["label"]]},
    }


def frames(segment: Sequence[float], fps: float) -> tuple[int, int]:
    """The first frame of a segment in seconds, from 0, and the frame after its last: the nearest,
    and at least one frame.

    >>> frames([0.5, 1.0], 25.0), frames([0.5, 0.5], 25.0)
    ((12, 25), (12, 13))
    """
    first = max(0, round(segment[0] * fps))
    return first, max(first + 1, round(segment[1] * fps))


def config(labels: Sequence[str]) -> str:
    """The labeling config to import the tasks with."""
    quoted = [xml.sax.saxutils.quoteattr(label) for label in labels]
    shown = "\n".join(f"    <Label value={label}/>" for label in quoted)
    return (
        '<View>\n  <Video name="video" value="$video" frameRate="$fps"/>\n'
        '  <TimelineLabels name="timelineLabels" toName="video">\n'
        f"{shown}\n  </TimelineLabels>\n</View>\n"
    )
