"""Random access to a prepared dataset; only requested frames are read."""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.ingest import metadata
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared.examples import features
from lofi_jax.data.record import Record
from lofi_jax.data.video import jpeg
from lofi_jax.errors import UserError, one_line
from lofi_jax.files import regular

VERSION = "2.0.0"
FILE_FORMAT = "array_record"


def folder_of(data_dir: str | os.PathLike, name: str, sampling: Sampling) -> pathlib.Path:
    """Where a dataset lies."""
    return pathlib.Path(data_dir).absolute() / name / sampling.name / VERSION


def load(data_dir: str | os.PathLike, name: str, sampling: Sampling) -> tfds.core.DatasetBuilder:
    """The builder that reads a dataset made by `builders.build`; see `Records` and `class_names`.

    Raises:
        UserError: there is none, or it is damaged.
    """
    folder = folder_of(data_dir, name, sampling)
    if not folder.exists():
        raise UserError(
            f"{folder}: no such dataset; python -m lofi_jax.prepare --dataset={name} makes it"
        )
    with quiet(), _naming_damage(folder):
        for path in (*folder.glob("*.json"), *folder.glob("*.array_record*")):
            regular(path)  # a pipe would be waited for
        builder = tfds.builder_from_directory(folder)
        known = contents(builder)
        for split in known["videos"]:
            for entry in known["videos"][split]:
                metadata.video(entry, split, known["classes"])
        return builder


def contents(builder: tfds.core.DatasetBuilder) -> dict[str, Any]:
    """What a dataset made by `dataset.build` says of itself: "classes", "source", "problems",
    "frames" and "videos".
    """
    return dict(builder.info.metadata or {})


def class_names(builder: tfds.core.DatasetBuilder) -> tuple[str, ...]:
    """The names of the classes, sorted; the labels of a record are their indices."""
    return tuple(contents(builder)["classes"])


def videos(builder: tfds.core.DatasetBuilder, split: str) -> list[Video]:
    """The annotations of a split's videos in the order of its `Records`, without reading a
    frame.
    """
    classes = class_names(builder)
    there = contents(builder)["videos"]
    return [metadata.video(known, split, classes) for known in there[split]]


def places(known: Sequence[Mapping[str, Any]], split: str, frames: int) -> list[tuple[str, int]]:
    """Where the videos of a split are stored: the split, and the number of the first snippet; one
    after the other, unless they say otherwise (see relink.py).
    """
    lengths = [one["frames"] // frames for one in known]
    firsts = np.cumsum([0, *lengths[:-1]]).tolist()
    return [tuple(one.get("at", (split, first))) for one, first in zip(known, firsts, strict=True)]


class Records:
    """The videos of one split by number: a source for Grain, picklable into its workers."""

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        """Opens a split; a `UserError` when there is none of that name, or nothing in it."""
        content = contents(builder)
        there = content["videos"]
        if not there.get(split):
            counts = ", ".join(f"{len(known)} in {name!r}" for name, known in there.items())
            raise UserError(f"{builder.data_dir}: no videos of subset {split!r}; it has {counts}")
        self._videos, self._frames = there[split], content["frames"]
        self._places = places(self._videos, split, self._frames)
        # Not TFDS's whole source, which would copy all metadata into every worker.
        self._folder = pathlib.Path(builder.data_dir)
        with _naming_damage(self._folder):
            self._serialized = {
                name: cast(Any, builder).as_data_source(name).data_source
                for name in dict.fromkeys(name for name, _ in self._places)
            }
            self._check_complete()
        # The rest of an example costs more to parse than its frames.
        self._features: Any = tfds.features.FeaturesDict({"frames": features()["frames"]})

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int) -> Record:
        known, place = self._videos[index], self._places[index]
        return metadata.record(known, Frames(self, place, self._frames, known["frames"]))

    def _check_complete(self) -> None:
        for known, (split, first) in zip(self._videos, self._places, strict=True):
            stored, end = len(self._serialized[split]), first + known["frames"] // self._frames
            if end > stored:
                raise ValueError(f"{stored} snippets in {split!r} in place of {end} and more")

    def snippet(self, split: str, number: int) -> Sequence[bytes]:
        """The JPEGs of one of a split's stored snippets."""
        with _naming_damage(self._folder):
            return self._features.deserialize_example_np(self._serialized[split][number])["frames"]


class Frames:
    """The JPEGs of a video; only requested snippets are read. See `record.Frames`."""

    def __init__(self, records: Records, place: tuple[str, int], frames: int, count: int):
        """Takes the split that stores the video and the number of its first snippet there, the
        frames per snippet, and the video's frames.
        """
        self._records, self._place, self._frames, self._count = records, place, frames, count
        self._last: tuple[int, Sequence[bytes]] = (-1, ())

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> bytes:
        snippet, frame = divmod(range(self._count)[i], self._frames)
        # Threads may share the video, so each uses the snippet that it read itself.
        number, jpegs = self._last
        if number != snippet:
            split, first = self._place
            jpegs = self._records.snippet(split, first + snippet)
            self._last = snippet, jpegs
        return jpegs[frame]

    def read(
        self, numbers: np.ndarray, size: tuple[int, int], crop: jpeg.Crop, out: np.ndarray
    ) -> None:
        """Decodes, crops and resizes some frames; see `jpeg.decode`."""
        jpeg.decode([self[number] for number in numbers.tolist()], size, crop, out)


@contextlib.contextmanager
def _naming_damage(folder: pathlib.Path) -> Iterator[None]:
    """Turns what damaged files of a dataset lead to, which has no one type, into a `UserError`."""
    try:
        yield
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        raise UserError(
            f"{folder}: damaged ({reason}): delete this folder and prepare the dataset again"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences TFDS's log of every step and of a config that its class does not list."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
