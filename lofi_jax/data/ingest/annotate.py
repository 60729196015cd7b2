"""Adds annotations to a video's record, clipped to what the file holds."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lofi_jax.data.annotations.activitynet import DURATION_TOLERANCE, Video
from lofi_jax.data.record import Record

UNREADABLE = "unreadable videos (left out)"


BROKEN = "videos whose decoding breaks (used up to there)"


SHORTER = "videos over 1 s shorter than annotated"


CLIPPED = "segments ending past the video file's own end (clipped)"


OUTSIDE = "segments wholly past the video file's own end (dropped)"


def annotate(
    video: Video, record: Record, broken: str, classes: Sequence[str]
) -> tuple[Record, list[tuple[str, str]]]:
    """Adds a video's annotation to its record, clipped to what the file holds.

    Args:
        video: the annotation.
        record: of `sampling.read_record` or `video_frames.open_video`.
        broken: how much of the file can be used, "" for all of it.
        classes: a label is its class's place in them.

    Returns:
        The record, and what was wrong as (reason, entry).
    """
    segments, labels, problems = fit(video, record.duration, broken, classes)
    named = dataclasses.replace(record, video_id=video.video_id, segments=segments, labels=labels)
    return named, problems


def fit(
    video: Video, duration: float, broken: str, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]:
    """What a file of a duration in seconds shows of a video's annotation; see `annotate`.

    Returns:
        The segments (M, 2) float64 in seconds, the labels (M,) int64, and what was wrong.
    """
    segments, kept, problems = _inside(video, duration)
    if broken:
        problems.append((BROKEN, f"{video.video_id}: {broken}"))
    if video.duration and duration < video.duration - 1:
        lengths = f"{duration:.2f} of {video.duration:.2f} s"
        problems.append((SHORTER, f"{video.video_id}: {lengths}"))
    return segments, np.array([classes.index(label) for label in kept], np.int64), problems


def _inside(video: Video, duration: float) -> tuple[np.ndarray, list[str], list[tuple[str, str]]]:
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
