"""Inference on any video file with a run's encoder, head and classifier."""

import dataclasses
import glob
import itertools
import pathlib
from collections.abc import Container

import numpy as np

from lofi_jax.config import full_fidelity, rows_of
from lofi_jax.config.rows import names
from lofi_jax.data.ingest.sampling import read_record
from lofi_jax.data.loader import clips
from lofi_jax.data.loader.window_clips import Pieces
from lofi_jax.data.streamed.video_frames import open_video
from lofi_jax.data.video.packets import VideoError
from lofi_jax.data.video.video_file import EXTENSIONS
from lofi_jax.errors import UserError
from lofi_jax.jobs import detection, pictures
from lofi_jax.jobs.extraction import full_fidelity_encoder
from lofi_jax.jobs.trainings import CLASSIFIER_STANDARDISES, classifier_encoder
from lofi_jax.reports import timelines
from lofi_jax.reports.tables import row_name
from lofi_jax.results import predictions
from lofi_jax.run import checkpoints, features, sources
from lofi_jax.run.start import Run
from lofi_jax.stages.detect import Detection
from lofi_jax.training.progress import Progress


def run(
    run: Run,
    videos: list[pathlib.Path],
    output: pathlib.Path,
    timeline_dir: pathlib.Path | None = None,
) -> str:
    """Detects in each video, writes the detections after each, and draws each timeline where wanted.

    A video's id is its file's name without the extension; where that is taken, with it, or else with a number. A
    video that cannot be decoded is left out; of one that breaks, the part that decodes is used.

    Returns:
        What became of the videos, for the user.

    Raises:
        UserError: the run has no trained head, the output cannot be written, or no video could be decoded.
    """
    for folder in filter(None, (output.parent, timeline_dir)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
    detect_in, sampling = Detector(run), sources.sampling_of(run.config)
    read = open_video if run.config.data.streaming else read_record
    results, notes = {}, []
    progress = Progress("predict", len(videos), unit="videos")
    for i, path in enumerate(videos):
        try:
            record, covered = read(path, sampling)
        except VideoError as error:
            notes.append(f"skipped {error}")
        else:
            if covered:
                notes.append(f"used in part: {path}: {covered}")
            video_id = _new_id(path, results)
            results[video_id] = detect_in(record)
            predictions.save(output, results)
            if timeline_dir:
                _draw(run, timeline_dir / f"{video_id}.png", record, results[video_id], detect_in)
        progress.show(i + 1, {})
    progress.close()
    if not results:
        raise UserError("; ".join(notes))
    return "\n".join([*notes, f"{len(results)} of {len(videos)} videos -> {output}"])


def _new_id(path: pathlib.Path, taken: Container[str]) -> str:
    numbered = (f"{path.stem}_{n}" for n in itertools.count(2))
    possible = itertools.chain((path.stem, path.name), numbered)
    return next(name for name in possible if name not in taken)


def _draw(run: Run, path: pathlib.Path, record, detections, detector) -> None:
    row = (row_name(dataclasses.asdict(detector.row)), pictures.strongest(detections))
    frames = pictures.thumbnails(run, record)
    timelines.draw(path, path.stem, record["duration"], [row], frames, detector.classes)


class Detector:
    """Detects with the last of a run's rows that has been trained to the end."""

    def __init__(self, run: Run):
        root = run.workdir.root
        trained = [row for row in rows_of(run.config) if checkpoints.of_head(run, row).is_dir()]
        if not trained:
            raise UserError(f"{root}: holds no trained head: let the run finish first")
        self._run, self.row, labels_by = run, trained[-1], classifier_encoder(run)
        self._classify = detection.classifier(run)
        self._propose = detection.proposer(run, self.row, len(self._classify.classes))
        parts = {*self.row.encoder.split("+"), *labels_by.split("+")}
        if "external" in parts:
            raise UserError(f"{root}: works on external features, not on videos")
        self._encoders = {part: full_fidelity_encoder(run, part) for part in sorted(parts)}
        self._stores = {
            encoder: features.store(run, encoder) for encoder in (self.row.encoder, labels_by)
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self._classify.classes

    def __call__(self, record) -> list[Detection]:
        """The detections in a video stored as `read_record` does, best first, in seconds."""
        config = self._run.config
        full = full_fidelity(config)
        whole = clips.WholeVideo(lambda index: full, config.data.frames, 0, clips.NONE, 0)
        length = len(record["frames"]) // config.data.frames
        encoded = {part: [] for part in self._encoders}
        for piece in Pieces([record], [length], full.snippets, config.data.frames):
            frames = whole.map_with_index(0, piece)["frames"].read()
            for part, encode in self._encoders.items():
                encoded[part].append(encode(frames[None])[0])
        parts = {part: np.concatenate(rows)[:length] for part, rows in encoded.items()}

        def joined(encoder: str, standardise: bool) -> np.ndarray:
            side_by_side = np.concatenate([parts[part] for part in encoder.split("+")], axis=1)
            return self._stores[encoder].standardise(side_by_side) if standardise else side_by_side

        seen = joined(self.row.encoder, config.head_training.standardise)
        whole_video = joined(classifier_encoder(self._run), CLASSIFIER_STANDARDISES)
        return detection.labelled(
            self._run,
            self._propose(seen, record["duration"]),
            self._classify.video(whole_video),
            self.classes,
            record["duration"],
        )


def expand(paths: str) -> list[pathlib.Path]:
    """The video files of a comma-separated list of files, folders and patterns, each once.

    Raises:
        UserError: an entry that matches nothing.
    """
    files: dict[pathlib.Path, None] = {}
    for entry in names(paths):
        path = pathlib.Path(entry)
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.name.lower().endswith(EXTENSIONS))
        elif path.exists():
            found = [path]
        else:
            found = [pathlib.Path(p) for p in sorted(glob.glob(entry, recursive=True))]
        if not found:
            raise UserError(f"{entry}: no such video file, folder of videos or pattern")
        files |= dict.fromkeys(found)
    return list(files)
