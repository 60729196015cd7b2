"""Temporal action localization in any video file, with a trained run."""

import dataclasses
import functools
import math
import os
import pathlib
import warnings
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from lofi_jax.config import full_fidelity, rows_of
from lofi_jax.config.rows import Row
from lofi_jax.data.ingest.sampling import read_record
from lofi_jax.data.loader import clips
from lofi_jax.data.loader.window_clips import Pieces
from lofi_jax.data.streamed.video_frames import open_video
from lofi_jax.data.video.packets import VideoError
from lofi_jax.errors import UserError
from lofi_jax.jobs import detection, images
from lofi_jax.jobs.trainings import CLASSIFIER_STANDARDISES, classifier_encoder
from lofi_jax.reports.tables import row_name
from lofi_jax.results.detections import Detections
from lofi_jax.run import checkpoints, features, sources
from lofi_jax.run.networks import make_encoder
from lofi_jax.run.start import Run, load_run
from lofi_jax.run.workdir import Workdir
from lofi_jax.stages.extract import FullFidelityEncoder
from lofi_jax.training.checkpoints import load_state
from lofi_jax.training.sharding import make_mesh

Path = str | os.PathLike
Record = dict[str, Any]


class Localizer:
    """An encoder, a head and a classifier of one row of a run: a video in, its actions out.

    It uses the first local device, one video at a time. In a notebook:

        localizer = lofi_jax.Localizer.load("runs/synthetic")
        found = localizer.detect("holiday.mp4", min_score=0.1, top_k=20)
        lofi_jax.save_detections("holiday.vtt", found)

    Attributes:
        run: what the workdir holds.
        row: whose encoder and head these are.
        classes: the names of the actions.
    """

    def __init__(self, run: Run, row: Row):
        """Takes a run and one of its rows; usually called through `load`.

        Raises:
            UserError: something that the row needs is not trained.
        """
        self.run, self.row = run, row
        self._labels_by = classifier_encoder(run)
        self._classify = detection.classifier(run)
        self.classes: tuple[str, ...] = self._classify.classes
        self._propose = detection.proposer(run, row, len(self.classes))
        parts = {*row.encoder.split("+"), *self._labels_by.split("+")}
        if "external" in parts:
            raise UserError(f"{run.workdir.root}: works on external features, not on videos")
        self._encoders = {part: _encoder(run, part) for part in sorted(parts)}
        self._stores = {name: features.store(run, name) for name in (row.encoder, self._labels_by)}

    @classmethod
    def load(cls, path: Path) -> "Localizer":
        """Loads the last fully trained row of a run, or the row of one training.

        Args:
            path: a workdir of `lofi_jax.main`; or a head's or encoder's folder in it, such as
                WORKDIR/heads/acp_gtad or WORKDIR/encoders/lofi_temporal_gtad, whose last row is
                taken.

        Raises:
            UserError: no such folder, no run in it, or a missing file; names it.
        """
        path = pathlib.Path(path).absolute()
        root = next((p for p in (path, *path.parents[:3]) if Workdir(p).config.is_file()), None)
        if root is None:
            _refuse_lone_checkpoint(path)
        run = load_run(root or path)
        trained = [row for row in rows_of(run.config) if checkpoints.of_head(run, row).is_dir()]
        if not trained:
            raise UserError(f"{run.workdir.root}: holds no trained head: let the run finish first")
        if path != root:
            trained = [row for row in trained if any(map(path.is_relative_to, _folders(run, row)))]
        if not trained:
            raise UserError(f"{path}: no head has been trained on it: load {root}")
        return cls(run, trained[-1])

    @property
    def name(self) -> str:
        """The row's name in tables and timelines."""
        return row_name(dataclasses.asdict(self.row))

    def detect(self, video: Path, min_score: float = 0.0, top_k: int | None = None) -> Detections:
        """The actions in a video file, best first.

        Args:
            video: the file. Of a damaged file, the part that decodes is used, with a warning.
            min_score: of a detection.
            top_k: most detections to return; never more than the run's config.detect.top_k.

        Raises:
            UserError: the file cannot be decoded.
        """
        return self.detect_in(self._record(video)).filter(min_score).top(top_k)

    def features(self, video: Path) -> Float[np.ndarray, "L C"]:
        """The encoder's features of a video's snippets, as the stage extract stores them.

        Raises:
            UserError: as `detect`.
        """
        return self._joined(self._encode(self._record(video)), self.row.encoder, False)

    def read(self, video: Path) -> tuple[Record, str]:
        """A video file's record, and of a damaged file how much it covers; see
        `sampling.read_record`.

        Raises:
            VideoError: nothing can be decoded.
        """
        read = open_video if self.run.config.data.streaming else read_record
        return read(video, sources.sampling_of(self.run.config))

    def detect_in(self, record: Record) -> Detections:
        """The actions in a record, from `read` or a dataset, best first."""
        parts = self._encode(record)
        standardise = self.run.config.head_training.standardise
        seen = self._joined(parts, self.row.encoder, standardise)
        whole = self._joined(parts, self._labels_by, CLASSIFIER_STANDARDISES)
        return detection.labelled(
            self.run,
            self._propose(seen, record["duration"]),
            self._classify.video(whole),
            self.classes,
            record["duration"],
            record["video_id"],
        )

    def thumbnails(self, record: Record) -> list[np.ndarray]:
        """A few frames of a record, evenly spread."""
        return images.thumbnails(self.run, record)

    def _record(self, video: Path) -> Record:
        try:
            record, covered = self.read(video)
        except VideoError as error:
            raise UserError(str(error)) from error
        if covered:
            warnings.warn(f"{video}: {covered}", stacklevel=3)
        return record

    def _encode(self, record: Record) -> dict[str, np.ndarray]:
        """The features (L, C) of each encoder, in pieces of the full fidelity's length."""
        full, frames = full_fidelity(self.run.config), self.run.config.data.frames
        whole = clips.WholeVideo(lambda index: full, frames, 0, clips.NONE, 0)
        length = len(record["frames"]) // frames
        encoded = {part: [] for part in self._encoders}
        for piece in Pieces([record], [length], full.snippets, frames):
            clip = whole.map_with_index(0, piece)["frames"].read()
            for part, encode in self._encoders.items():
                encoded[part].append(encode(clip[None])[0])
        return {part: np.concatenate(rows)[:length] for part, rows in encoded.items()}

    def _joined(self, parts: dict[str, np.ndarray], encoder: str, standardise: bool) -> np.ndarray:
        side_by_side = np.concatenate([parts[part] for part in encoder.split("+")], axis=1)
        return self._stores[encoder].standardise(side_by_side) if standardise else side_by_side


@functools.cache
def _first_device():
    return make_mesh(1, 1, jax.local_devices()[:1])


def _encoder(run: Run, name: str) -> FullFidelityEncoder:
    """A trained encoder on the first device, for one piece of a video at a time."""
    chunk = math.gcd(run.config.extract.chunk, full_fidelity(run.config).snippets)
    variables = checkpoints.encoder_variables(run, name)
    return FullFidelityEncoder(make_encoder(run.config), variables, _first_device(), 1, chunk)


def _folders(run: Run, row: Row) -> list[pathlib.Path]:
    """The folders of a row's trainings."""
    return [run.workdir.head(row), *map(run.workdir.encoder, row.encoder.split("+"))]


def _refuse_lone_checkpoint(path: pathlib.Path) -> None:
    """Raises if a folder holds a checkpoint without its run."""
    checkpoint = path / "checkpoints"
    try:
        state = load_state(checkpoint if checkpoint.is_dir() else path)
    except UserError:
        return
    raise UserError(
        f"{path}: a lone checkpoint of {' and '.join(state['params'])}: config.json (networks and"
        " sampling),"
        " features (their mean and deviation) and classifier (class names) are missing: load its"
        " workdir"
    )
