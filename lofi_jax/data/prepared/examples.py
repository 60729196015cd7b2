"""One annotated video made into serialized examples, one a snippet, and what was wrong with it."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from lofi_jax.data.annotations.activitynet import DURATION_TOLERANCE, Video
from lofi_jax.data.ingest import metadata
from lofi_jax.data.ingest.sampling import Sampling, read_record
from lofi_jax.data.ingest.video_folder import Job
from lofi_jax.data.video.packets import VideoError

UNREADABLE = "unreadable videos (left out)"
BROKEN = "videos whose decoding breaks (used up to there)"
SHORTER = "videos over 1 s shorter than annotated"
CLIPPED = "segments ending past the video file's own end (clipped)"
OUTSIDE = "segments wholly past the video file's own end (dropped)"


@dataclasses.dataclass(frozen=True)
class Example:
    """What became of one video.

    Attributes:
        serialized: its snippets as stored; none where the video could not be used.
        known: what the dataset's metadata tells of it, see `metadata.of`; None likewise.
        problems: what was wrong, as (reason, entry).
    """

    serialized: list[bytes]
    known: dict[str, Any] | None
    problems: list[tuple[str, str]]


@functools.cache
def features() -> tfds.features.FeaturesDict:
    """What an example holds: a snippet, its number in its video, and its frames as JPEGs."""
    return tfds.features.FeaturesDict(
        {
            "video_id": tfds.features.Text(),
            "snippet": tfds.features.Scalar(np.int64),
            "frames": tfds.features.Sequence(tfds.features.Scalar(np.str_)),
        }
    )


def make(job: Job, classes: Sequence[str], sampling: Sampling) -> Example:
    """Reads a video and makes its examples; a label is its class's place in `classes`."""
    video = job.video
    try:
        record, broken = read_record(job.path, sampling)
    except VideoError as error:
        return Example([], None, [(UNREADABLE, f"{video.video_id}: {error}")])
    record, problems = annotate(video, record, broken, classes)
    return Example(_serialize(record, sampling.frames), metadata.of(record), problems)


def annotate(
    video: Video, record: Mapping[str, Any], broken: str, classes: Sequence[str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Adds a video's annotation to the record of its file, as far as the file goes.

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


def _serialize(record: Mapping[str, Any], frames: int) -> list[bytes]:
    """Snippets as TFDS stores them, but with their keys in one order: TFDS's own differs from process to process."""
    serializer = ExampleSerializer(features().get_serialized_info())
    serialized = []
    for snippet in range(len(record["frames"]) // frames):
        jpegs = record["frames"][snippet * frames : (snippet + 1) * frames]
        example = {"video_id": record["video_id"], "snippet": snippet, "frames": jpegs}
        example = serializer.get_tf_example(features().encode_example(example))
        serialized.append(example.SerializeToString(deterministic=True))
    return serialized


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
