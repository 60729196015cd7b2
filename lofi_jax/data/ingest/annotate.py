"""Adds annotations to a video's record, clipped to what the file holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lofi_jax.data.annotations.activitynet import DURATION_TOLERANCE, Video

UNREADABLE = "unreadable videos (left out)"


BROKEN = "videos whose decoding breaks (used up to there)"


SHORTER = "videos over 1 s shorter than annotated"


CLIPPED = "segments ending past the video file's own end (clipped)"


OUTSIDE = "segments wholly past the video file's own end (dropped)"


def annotate(
    video: Video, record: Mapping[str, Any], broken: str, classes: Sequence[str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Adds a video's annotation to its record, clipped to what the file holds.

    Args:
        video: the annotation.
        record: of `sampling.read_record` or `streaming.open_video`.
        broken: how much of the file can be used, "" for all of it.
        classes: a label is its class's place in them.

    Returns:
        The record, and what was wrong as (reason, entry).
    """
    duration = record["duration"]
    segments, kept, problems = _fit(video, duration)
    if broken:
        problems.append((BROKEN, f"{video.video_id}: {broken}"))
    if video.duration and duration < video.duration - 1:
        lengths = f"{duration:.2f} of {video.duration:.2f} s"
        problems.append((SHORTER, f"{video.video_id}: {lengths}"))
    labels = np.array([classes.index(label) for label in kept], np.int64)
    named = {"video_id": video.video_id, "segments": segments, "labels": labels}
    return {**record, **named}, problems


def _fit(video: Video, duration: float) -> tuple[np.ndarray, list[str], list[tuple[str, str]]]:
    """The segments ((M, 2) float64, seconds) and labels inside a duration, and what was wrong."""
    segments, labels, problems = [], [], []
    for (start, end), label in zip(video.segments.tolist(), video.labels, strict=True):
        entry = f"{video.video_id}: {start} to {end} of {duration:.2f} s"
        if start >= duration:
            problems.append((OUTSIDE, entry))
            continue
        # One that lasts to the annotated end lasts to the file's, wherever that is.
        lasts = video.duration is not None and end >= video.duration
        if end > duration + DURATION_TOLERANCE and not lasts:
            problems.append((CLIPPED, entry))
        segments.append((start, min(end, duration)))
        labels.append(label)
    return np.array(segments, np.float64).reshape(-1, 2), labels, problems
