"""One annotated video made into one serialized example, and what was wrong with it."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from lofi_jax.data.annotations import DURATION_TOLERANCE, Video
from lofi_jax.data.sampling import Sampling, read_record
from lofi_jax.data.video import VideoError
from lofi_jax.data.video_folder import Job

UNREADABLE = "unreadable videos (left out)"
TOO_LARGE = (
    "videos whose frames take over 2 GB (left out: lower the rate, the short side or quality)"
)
BROKEN = "videos whose decoding breaks (used up to there)"
SHORTER = "videos over 1 s shorter than annotated"
CLIPPED = "segments ending past the video file's own end (clipped)"
OUTSIDE = "segments wholly past the video file's own end (dropped)"

# An example is a protocol buffer, which holds no more than 2 GiB.
_MOST_BYTES = 2_000_000_000


@dataclasses.dataclass(frozen=True)
class Example:
    """What became of one video.

    Attributes:
        serialized: the example as stored; None where the video could not be used.
        annotation: the example without its frames, as JSON can hold it; None likewise.
        problems: what was wrong, as (reason, entry).
    """

    serialized: bytes | None
    annotation: dict[str, Any] | None
    problems: list[tuple[str, str]]


@functools.cache
def features() -> tfds.features.FeaturesDict:
    """What an example holds; see `records.Records`."""
    integer = tfds.features.Scalar(np.int64)
    # TFDS's records hold float32 only, but for arrays kept as bytes.
    double = tfds.features.Tensor(shape=(), dtype=np.float64, encoding="bytes")
    pairs = tfds.features.Tensor(shape=(None, 2), dtype=np.float64, encoding="bytes")
    return tfds.features.FeaturesDict(
        {
            "video_id": tfds.features.Text(),
            "frames": tfds.features.Sequence(tfds.features.Scalar(np.str_)),
            "height": integer,
            "width": integer,
            "duration": double,
            "fps": double,
            "segments": pairs,
            "labels": tfds.features.Tensor(shape=(None,), dtype=np.int64),
        }
    )


def make(job: Job, classes: Sequence[str], sampling: Sampling) -> Example:
    """Reads a video and makes its example; a label is its class's place in `classes`."""
    video = job.video
    try:
        record, broken = read_record(job.path, sampling)
    except VideoError as error:
        return Example(None, None, [(UNREADABLE, f"{video.video_id}: {error}")])
    size = sum(len(jpeg) for jpeg in record["frames"])
    if size > _MOST_BYTES:
        return Example(None, None, [(TOO_LARGE, f"{video.video_id}: {size / 1e9:.1f} GB")])
    record, problems = annotate(video, record, broken, classes)
    return Example(_serialize(record), annotation(record), problems)


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


def _serialize(record: Mapping[str, Any]) -> bytes:
    """A record as TFDS stores it, but with its keys in one order: TFDS's own differs from process to process."""
    serializer = ExampleSerializer(features().get_serialized_info())
    example = serializer.get_tf_example(features().encode_example(record))
    return example.SerializeToString(deterministic=True)


def annotation(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without its frames, as JSON can hold it."""
    return {
        "video_id": record["video_id"],
        "duration": record["duration"],
        "segments": record["segments"].tolist(),
        "labels": record["labels"].tolist(),
    }


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
