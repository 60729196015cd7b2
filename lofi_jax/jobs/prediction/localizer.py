"""Temporal action localization in any video file, with a trained run."""

import dataclasses
import functools
import operator
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Float

from lofi_jax.config import full_fidelity, rows_of
from lofi_jax.config.rows import Row
from lofi_jax.data import video_ids
from lofi_jax.data.ingest.sampling import Sampling, read_record
from lofi_jax.data.record import Record
from lofi_jax.data.streamed.ahead import ahead
from lofi_jax.data.streamed.snippets import FileSnippets, Stored
from lofi_jax.data.streamed.video_frames import open_video
from lofi_jax.data.video import video_file
from lofi_jax.data.video.packets import VideoError
from lofi_jax.detection.windows import Windows
from lofi_jax.errors import UserError
from lofi_jax.jobs import best, detection, images, labels
from lofi_jax.jobs.prediction import cuts, windowed
from lofi_jax.jobs.prediction.video_encoders import VideoEncoders
from lofi_jax.reports.tables import row_name
from lofi_jax.results.detections import Detections
from lofi_jax.run import checkpoints, features, sources
from lofi_jax.run.networks import classifies
from lofi_jax.run.start import Run, load_run
from lofi_jax.run.workdir import Workdir
from lofi_jax.training import folders
from lofi_jax.training.checkpoints import load_state

Path = str | os.PathLike


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
        self.classes: tuple[str, ...] = tuple(labels.classes(run))
        self._labels_by, self._classify = row.encoder, None
        if not classifies(row.head):
            self._labels_by, self._classify = labels.encoder_of(run), labels.of_any_video(run)
        self._propose = detection.proposer(run, row, len(self.classes))
        parts = {*row.encoder.split("+"), *self._labels_by.split("+")}
        if "external" in parts:
            raise UserError(f"{run.workdir.root}: works on external features, not on videos")
        self._encoders = VideoEncoders(run, sorted(parts))
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
        path = pathlib.Path(os.fsdecode(path)).absolute()
        above = (path, *path.parents[:3])
        try:
            root = next((p for p in above if Workdir(p).config.is_file()), None)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
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
            ValueError: top_k is negative.
        """
        Detections([], [], []).filter(min_score).top(top_k)  # raises before the work
        video = os.fsdecode(video)
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
        read = ahead(snippets, self.windows.step)
        for seconds, one in self.detect_windows(read, lambda: snippets.duration, found[0].video):
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
        size, rate = (
            full_fidelity(self.run.config).snippets,
            self.run.config.data.snippets_per_second,
        )
        pieces = []
        for i, piece in enumerate(windowed.batches(ahead(snippets, size), size), 1):
            pieces.append(self._encoders.of_snippets(piece, size))
            show(min(i * size / rate, snippets.duration), snippets.duration)
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
        return cuts.windows(self.run, self._longest_seconds)

    @functools.cached_property
    def _longest_seconds(self) -> float:
        return cuts.longest_seconds(self.run)

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
        pieces = (
            self._encoders.of_snippets(piece, step) for piece in windowed.batches(snippets, step)
        )

        def in_window(parts: dict[str, np.ndarray]) -> Detections:
            return self._detect_on(parts, self.windows.seconds, video)

        return windowed.detect(pieces, self.windows, in_window, duration)

    def features(self, video: Path) -> Float[np.ndarray, "L C"]:
        """The encoder's features of a video's snippets, as the stage extract stores them.

        Raises:
            UserError: as `detect`.
        """
        return self._joined(self._encoders.of_record(self._record(video)), self.row.encoder, False)

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
        return self._detect_on(self._encoders.of_record(record), record.duration, record.video_id)

    def _detect_on(self, parts: dict[str, np.ndarray], duration: float, video: str) -> Detections:
        """The actions in a video, from the features of each encoder."""
        standardise = self.run.config.head_training.standardise
        seen = self._joined(parts, self.row.encoder, standardise)
        whole = self._joined(parts, self._labels_by, labels.STANDARDISES)
        found = self._propose(seen, duration)
        classify = self._classify
        probabilities = classify(whole, found.segments, duration) if classify else None
        return detection.labelled(self.run, found, probabilities, self.classes, duration, video)

    def thumbnails(self, record: Record) -> list[np.ndarray]:
        """A few frames of a record, evenly spread."""
        return images.thumbnails(self.run, record)

    def _record(self, video: Path) -> Record:
        try:
            record, covered = self.read(os.fsdecode(video))
        except VideoError as error:
            raise UserError(str(error)) from error
        if covered:
            warnings.warn(f"{video}: {covered}", stacklevel=3)
        return record

    def _joined(self, parts: dict[str, np.ndarray], encoder: str, standardise: bool) -> np.ndarray:
        side_by_side = np.concatenate([parts[part] for part in encoder.split("+")], axis=1)
        return self._stores[encoder].standardise(side_by_side) if standardise else side_by_side


def _folders(run: Run, row: Row) -> list[pathlib.Path]:
    """The folders of a row's trainings."""
    return [run.workdir.head(row), *map(run.workdir.encoder, row.encoder.split("+"))]


def _refuse_lone_checkpoint(path: pathlib.Path) -> None:
    """Raises if a folder holds a checkpoint without its run."""
    checkpoint = folders.checkpoints(path)
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
