"""The checks of a prediction file before submission, for ActivityNet, HACS, or THUMOS14 in the same
form.

{"version": str, "results": {video_id: [{"label": str, "score": number, "segment": [start, end]}]},
"external_data": {}}
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from lofi_jax.data import video_ids
from lofi_jax.data.annotations.activitynet import DURATION_TOLERANCE
from lofi_jax.errors import LONGEST, UserError, one_line
from lofi_jax.files import is_number, read_json
from lofi_jax.results.ground_truth import Truth

KEYS = ("version", "results", "external_data")


def findings(path: str | os.PathLike, truth: Truth | None = None) -> Iterator[str]:
    """All problems, one line each, naming video and entry.

    Args:
        path: the file.
        truth: the annotated videos it must cover; by default only its form is checked.
    """
    return (one_line(finding, LONGEST) for finding in _of_file(path, truth))


def _of_file(path: str | os.PathLike, truth: Truth | None) -> Iterator[str]:
    try:
        data, repeated = read_json(path)
    except UserError as error:
        yield str(error)
        return
    if not isinstance(data, Mapping):
        yield f"{path}: not an object with the keys {', '.join(KEYS)}"
        return
    yield from (f"{path}: the key {key!r} is missing" for key in KEYS if key not in data)
    yield from (f"{path}: the key {key!r} stands twice in one object" for key in repeated)
    results = data.get("results", {})
    if not isinstance(results, Mapping):
        yield f"{path}: 'results' is not an object of videos"
        return
    if not results and "results" in data:
        yield f"{path}: the results hold no videos"
    if truth:
        names = video_ids.aligned(results, truth.annotated.videos)
        results = dict(zip(names, results.values(), strict=True))
    for video_id, entries in results.items():
        yield from (
            f"{path}: video {video_id!r}{text}" for text in _of_video(video_id, entries, truth)
        )
    if truth:
        missing = (video_id for video_id in truth.videos if video_id not in results)
        yield from (
            f"{path}: video {video_id!r} of subset {truth.subset!r} is missing"
            for video_id in missing
        )


def _of_video(video_id: str, entries: Any, truth: Truth | None) -> Iterator[str]:
    if truth and video_id not in truth.videos:
        there = truth.annotated.videos.get(video_id)
        what = f"of subset {there.subset!r}" if there else "unknown"
        yield f" is {what}, not of {truth.subset!r}"
    if not isinstance(entries, list):
        yield " is not a list of predictions"
        return
    duration = truth.videos[video_id].duration if truth and video_id in truth.videos else None
    for index, entry in enumerate(entries):
        yield from (f", entry {index}{text}" for text in _of_entry(entry, duration, truth))


def _of_entry(entry: Any, duration: float | None, truth: Truth | None) -> Iterator[str]:
    if not isinstance(entry, Mapping):
        yield " is not an object with 'label', 'score' and 'segment'"
        return
    label, score, segment = (entry.get(key) for key in ("label", "score", "segment"))
    if not isinstance(label, str) or not label:
        yield f": 'label' is {label!r}, not a class name"
    elif truth and label not in truth.annotated.classes:
        yield f": 'label' is {label!r}, which is no class of {truth.annotated.path}"
    if not is_number(score) or score < 0:
        yield f": 'score' is {score!r}, not a number of 0 or above"
    if not (isinstance(segment, list) and len(segment) == 2 and all(map(is_number, segment))):
        yield f": 'segment' is {segment!r}, not [start, end] in seconds"
        return
    start, end = segment
    if end <= start:
        yield f": 'segment' is {segment!r}, whose end is not after its start"
    if start < 0:
        yield f": 'segment' is {segment!r}, which starts before 0"
    if duration is not None and end > duration + DURATION_TOLERANCE:
        yield f": 'segment' is {segment!r}, which ends after the video, at {duration}"
