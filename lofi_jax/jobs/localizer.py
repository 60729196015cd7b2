"""Temporal action localization in any video file, with a trained run."""

import dataclasses
import functools
import math
import operator
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from lofi_jax.config import full_fidelity, rows_of
from lofi_jax.config.rows import Row
from lofi_jax.data import video_ids
from lofi_jax.data.ingest.sampling import Sampling, read_record
from lofi_jax.data.loader import clips
from lofi_jax.data.loader.window_clips import Pieces
from lofi_jax.data.streamed.snippets import FileSnippets, Stored
from lofi_jax.data.streamed.video_frames import open_video
from lofi_jax.data.video import video_file
from lofi_jax.data.video.packets import VideoError
from lofi_jax.detection.windows import Windows
from lofi_jax.errors import UserError
from lofi_jax.fidelity import Fidelity
from lofi_jax.files import is_number, read_or_none
from lofi_jax.jobs import best, detection, images, labels, windowed
from lofi_jax.reports.tables import row_name
from lofi_jax.results.detections import Detections
from lofi_jax.run import checkpoints, datasets, features, sources
from lofi_jax.run.networks import make_encoder_of, pieces
from lofi_jax.run.start import Run, load_run
from lofi_jax.run.workdir import Workdir
from lofi_jax.stages.extract import FullFidelityEncoder
from lofi_jax.training.checkpoints import load_state
from lofi_jax.training.sharding import make_mesh

# Of the windows of a video longer than those trained on.
_OVERLAP = 0.5

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
        why: this row was taken.
        classes: the names of the actions.
    """

    def __init__(self, run: Run, row: Row, why: str = "as named"):
        """Takes a run and one of its rows, and why it is this one; usually called through `load`.

        Raises:
            UserError: something that the row needs is not trained.
        """
        self.run, self.row, self.why = run, row, why
        self._labels_by = labels.encoder_of(run)
        self.classes: tuple[str, ...] = tuple(labels.classes(run))
        self._classify = labels.of_any_video(run)
        self._propose = detection.proposer(run, row, len(self.classes))
        parts = {*row.encoder.split("+"), *self._labels_by.split("+")}
        if "external" in parts:
            raise UserError(f"{run.workdir.root}: works on external features, not on videos")
        self._encoders = {
            part: _encoder(run, part, full_fidelity(run.config).snippets) for part in sorted(parts)
        }
        self._stores = {name: features.store(run, name) for name in (row.encoder, self._labels_by)}

    @classmethod
    def load(cls, path: Path, row: str = "") -> "Localizer":
        """Loads a row of a run: of those that are fully trained the one that scored best in the
        run's evaluation, or the last where there was none.

        Args:
            path: a workdir of `lofi_jax.main`; or a head's or encoder's folder in it, such as
                WORKDIR/heads/acp_gtad or WORKDIR/encoders/lofi_temporal_gtad, whose rows alone
                are meant.
            row: the name of one, such as lofi_temporal_gtad, in place of the best.

        Raises:
            UserError: no such folder, no run in it, no such row, or a missing file; names it.
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
        return cls(run, *best.of_workdir(trained, run.workdir, row))

    @property
    def name(self) -> str:
        """The row's name in tables and timelines."""
        return row_name(dataclasses.asdict(self.row))

    def detect(self, video: Path, min_score: float = 0.0, top_k: int | None = None) -> Detections:
        """The actions in a video file, best first.

        A video much longer than those that the run was trained on is cut into windows of that
        length (see `windows_for`) and read piece by piece.

        Args:
            video: the file. Of a damaged file, the part that decodes is used, with a warning.
            min_score: of a detection.
            top_k: most detections to return; never more than the run's config.detect.top_k of a
                video or a window.

        Raises:
            UserError: the file cannot be decoded.
        """
        try:
            found, covered = self.detect_file(video)
        except VideoError as error:
            raise UserError(str(error)) from error
        if covered:
            warnings.warn(f"{video}: {covered}", stacklevel=2)
        return found.filter(min_score).top(top_k)

    def detect_file(
        self, video: Path, show: Callable[[float, float], None] = lambda done, total: None
    ) -> tuple[Detections, str]:
        """The actions in a video file, best first, and of a damaged file how much is used; see
        `sampling.read_record`.

        Args:
            video: the file.
            show: called with the seconds that are done and the video's duration, once a window.

        Raises:
            VideoError: nothing can be decoded.
        """
        if self.in_pieces:
            return self._detect_in_pieces(video, show)
        if self.windows_for(video_file.probe(video).duration) is None:
            record, covered = self.read(video)
            return self.detect_in(record), covered
        snippets = FileSnippets(video, self.windowed_sampling)
        found = [Detections([], [], [], video_ids.of_file(video))]
        for seconds, one in self.detect_windows(
            snippets, lambda: snippets.duration, found[0].video
        ):
            found.append(one)
            show(seconds, snippets.duration)
        return functools.reduce(operator.add, found).top(), snippets.covered

    @property
    def in_pieces(self) -> bool:
        """Whether every video file is read piece by piece, as where the run cuts all of them."""
        return bool(self.run.config.data.window) and not self.run.config.data.streaming

    def _detect_in_pieces(
        self, video: Path, show: Callable[[float, float], None]
    ) -> tuple[Detections, str]:
        """As `detect_in` of the whole video, of which only the features are held."""
        snippets = FileSnippets(video, sources.sampling_of(self.run.config))
        full, rate = full_fidelity(self.run.config), self.run.config.data.snippets_per_second
        pieces = []
        for i, piece in enumerate(windowed.batches(snippets, full.snippets), 1):
            pieces.append(self._encode_with(self._encoders, _record_of(piece), full))
            show(min(i * full.snippets / rate, snippets.duration), snippets.duration)
        parts = {name: np.concatenate([one[name] for one in pieces]) for name in pieces[0]}
        found = self._detect_on(parts, snippets.duration, video_ids.of_file(video))
        return found, snippets.covered

    def windows_for(self, duration: float) -> Windows | None:
        """How a video is cut that lasts longer than any that the run was trained on; None for
        others, for a run that cuts all videos itself, and where it is not known how long they were.

        The windows are as long as the longest of those videos and overlap by half. Up to a tenth
        more is no matter.
        """
        longest = self._longest_seconds
        if self.run.config.data.window or not longest or duration <= 1.1 * longest:
            return None
        return self.windows

    @functools.cached_property
    def windows(self) -> Windows:
        """The windows of a video that comes in pieces: the run's own, or as long as the longest
        video that it was trained on.

        Raises:
            UserError: it is not known how long they were.
        """
        own = datasets.windows_of(self.run.config)
        if own is not None:
            return own
        if not self._longest_seconds:
            raise UserError(
                f"{self.run.workdir.root}: does not tell how long its training videos are: rerun"
                " lofi_jax.main on it"
            )
        snippets = self.run.config.data.snippets
        return Windows(snippets, _OVERLAP, snippets / self._longest_seconds)

    @property
    def windowed_sampling(self) -> Sampling:
        """How a video is sampled that is cut into `windows`."""
        sampling = sources.sampling_of(self.run.config)
        return dataclasses.replace(sampling, snippets_per_second=self.windows.rate)

    def detect_windows(
        self,
        snippets: Iterable[list[Stored]],
        duration: Callable[[], float],
        video: str,
    ) -> Iterator[tuple[float, Detections]]:
        """The detections of each window of a video once its snippets have come; see
        `windowed.detect`.

        Args:
            snippets: as `windowed_sampling` has them.
            duration: of the video, when they have ended.
            video: its id.
        """
        step = self.windows.step
        full = dataclasses.replace(full_fidelity(self.run.config), snippets=step)
        pieces = (
            self._encode_with(self._step_encoders, _record_of(piece), full)
            for piece in windowed.batches(snippets, step)
        )

        def in_window(parts: dict[str, np.ndarray]) -> Detections:
            return self._detect_on(parts, self.windows.seconds, video)

        return windowed.detect(pieces, self.windows, in_window, duration)

    @functools.cached_property
    def _step_encoders(self) -> dict[str, FullFidelityEncoder]:
        """The encoders for as many snippets as lie between the beginnings of two windows."""
        return {part: _encoder(self.run, part, self.windows.step) for part in self._encoders}

    @functools.cached_property
    def _longest_seconds(self) -> float:
        """The duration of the longest training video, 0 where it is not known."""
        level = labels.trained_level(self.run)
        path = labels.folder(self.run, level) / "trained_on.json"
        noted = read_or_none(path)
        if isinstance(noted, dict) and is_number(noted.get("longest_seconds")):
            return noted["longest_seconds"]
        try:  # a damaged note, or a workdir from before that was noted
            return max(v.known_duration for v in datasets.target(self.run).train_videos)
        except UserError:
            return 0.0

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
        return self._detect_on(self._encode(record), record["duration"], record["video_id"])

    def _detect_on(self, parts: dict[str, np.ndarray], duration: float, video: str) -> Detections:
        """The actions in a video, from the features of each encoder."""
        standardise = self.run.config.head_training.standardise
        seen = self._joined(parts, self.row.encoder, standardise)
        whole = self._joined(parts, self._labels_by, labels.STANDARDISES)
        found = self._propose(seen, duration)
        unlabelled = found.labels is None
        probabilities = self._classify(whole, found.segments, duration) if unlabelled else None
        return detection.labelled(self.run, found, probabilities, self.classes, duration, video)

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
        return self._encode_with(self._encoders, record, full_fidelity(self.run.config))

    def _encode_with(
        self, encoders: Mapping[str, FullFidelityEncoder], record: Record, full: Fidelity
    ) -> dict[str, np.ndarray]:
        frames = self.run.config.data.frames
        whole = clips.WholeVideo(lambda index: full, frames, 0, clips.NONE, 0)
        length = len(record["frames"]) // frames
        encoded = {part: [] for part in encoders}
        for piece in Pieces([record], [length], full.snippets, frames):
            clip = whole.map_with_index(0, piece)["frames"].read()
            for part, encode in encoders.items():
                encoded[part].append(encode(clip[None])[0])
        return {part: np.concatenate(rows)[:length] for part, rows in encoded.items()}

    def _joined(self, parts: dict[str, np.ndarray], encoder: str, standardise: bool) -> np.ndarray:
        side_by_side = np.concatenate([parts[part] for part in encoder.split("+")], axis=1)
        return self._stores[encoder].standardise(side_by_side) if standardise else side_by_side


@functools.cache
def _first_device():
    return make_mesh(1, 1, jax.local_devices()[:1])


def _record_of(piece: list[list[Stored]]) -> Record:
    """A piece of a video as a record."""
    frames = [frame for snippet in piece for frame in snippet]
    height, width = frames[0].size
    return {
        "video_id": "",
        "frames": [frame.jpeg for frame in frames],
        "height": height,
        "width": width,
        "duration": 1.0,
        "segments": np.zeros((0, 2)),
        "labels": np.zeros(0, np.int64),
    }


def _encoder(run: Run, name: str, snippets: int) -> FullFidelityEncoder:
    """A trained encoder on the first device, for one piece of a video, of so many snippets, at a
    time.
    """
    full = dataclasses.replace(full_fidelity(run.config), snippets=snippets)
    chunk = math.gcd(run.config.extract.chunk, pieces(run.config, full))
    variables = checkpoints.encoder_variables(run, name)
    encoder = make_encoder_of(run.config, name)
    return FullFidelityEncoder(encoder, variables, _first_device(), 1, chunk)


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
