"""Reads a prepared dataset: its classes, its annotations, and its records by number."""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from lofi_jax.data import annotations as annotation_files
from lofi_jax.data.sampling import Sampling
from lofi_jax.errors import UserError

VERSION = "1.0.0"
FILE_FORMAT = "array_record"


def folder_of(data_dir: str | os.PathLike, name: str, sampling: Sampling) -> pathlib.Path:
    """Where a dataset lies."""
    return pathlib.Path(data_dir).absolute() / name / sampling.name / VERSION


def load(data_dir: str | os.PathLike, name: str, sampling: Sampling) -> tfds.core.DatasetBuilder:
    """The builder that reads a dataset made by `builders.build`; see `Records` and `class_names`.

    Raises:
        UserError: there is none.
    """
    folder = folder_of(data_dir, name, sampling)
    if not folder.exists():
        raise UserError(
            f"{folder}: no such dataset; python -m lofi_jax.prepare --dataset={name} makes it"
        )
    with quiet():
        return tfds.builder_from_directory(folder)


def class_names(builder: tfds.core.DatasetBuilder) -> tuple[str, ...]:
    """The names of the classes, sorted; the labels of a record are their indices."""
    return tuple(builder.info.metadata["classes"])


def videos(builder: tfds.core.DatasetBuilder, split: str) -> list[annotation_files.Video]:
    """The annotations of a split's videos in the order of its `Records`, without reading a frame."""
    classes = class_names(builder)
    return [
        annotation_files.Video(
            video_id=video["video_id"],
            subset=split,
            duration=video["duration"],
            segments=np.array(video["segments"], np.float64).reshape(-1, 2),
            labels=tuple(classes[label] for label in video["labels"]),
        )
        for video in builder.info.metadata["videos"][split]
    ]


class Records(Sequence[dict[str, Any]]):
    """The records of one split by number: a source for Grain, picklable into its workers.

    Each is a dict of "video_id" (str); "frames" (snippets * frames JPEGs as bytes, snippet after
    snippet as in `video.sample_times`), their "height" and "width" (int, pixels); "duration"
    (float, seconds) and "fps" (float) of the video file; "segments" ((M, 2) float64, seconds) and
    "labels" ((M,) int64).
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        """Opens a split; a `UserError` when there is none of that name, or nothing in it."""
        counts = {name: info.num_examples for name, info in builder.info.splits.items()}
        if not counts.get(split):
            there = ", ".join(f"{count} in {name!r}" for name, count in counts.items())
            raise UserError(f"{builder.data_dir}: no videos of subset {split!r}; it has {there}")
        # Not TFDS's whole source, which takes all that is known of the dataset into every worker.
        self._serialized = builder.as_data_source(split).data_source
        self._features = builder.info.features

    def __len__(self) -> int:
        return len(self._serialized)

    def __getitem__(self, index: int) -> dict[str, Any]:
        # The range takes negative numbers and raises IndexError, neither of which the source does.
        serialized = self._serialized[range(len(self))[index]]
        record = self._features.deserialize_example_np(serialized)
        return record | {
            "video_id": record["video_id"].decode(),
            "height": int(record["height"]),
            "width": int(record["width"]),
            "duration": float(record["duration"]),
            "fps": float(record["fps"]),
        }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TFDS from telling of every step, and of a config that its class does not list."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
