"""Makes an annotated video's serialized examples, one per snippet, and lists its problems."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from lofi_jax.data.ingest import metadata
from lofi_jax.data.ingest.annotate import UNREADABLE, annotate
from lofi_jax.data.ingest.sampling import Sampling, read_record
from lofi_jax.data.ingest.video_folder import Job
from lofi_jax.data.record import Record
from lofi_jax.data.video.jpeg import Jpegs
from lofi_jax.data.video.packets import VideoError


@dataclasses.dataclass(frozen=True)
class Example:
    """The result for one video.

    Attributes:
        serialized: its snippets as stored; none where the video could not be used.
        known: its metadata, see `metadata.of`; None if it could not be used.
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


def _serialize(record: Record, frames: int) -> list[bytes]:
    """Snippets as TFDS stores them, but with sorted keys: TFDS's order differs between
    processes.
    """
    specs: Any = features().get_serialized_info()
    serializer = ExampleSerializer(specs)
    serialized, stored = [], cast(Jpegs, record.frames)
    for snippet in range(len(stored) // frames):
        jpegs = stored[snippet * frames : (snippet + 1) * frames]
        example = {"video_id": record.video_id, "snippet": snippet, "frames": jpegs}
        example = serializer.get_tf_example(features().encode_example(example))
        serialized.append(example.SerializeToString(deterministic=True))
    return serialized
