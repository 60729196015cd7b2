"""Detects in many video files: one file of detections, one timeline image per video."""

import dataclasses
import glob
import itertools
import pathlib
from collections.abc import Container
from typing import NamedTuple

import numpy as np

from lofi_jax.comma_separated import names
from lofi_jax.data import video_ids
from lofi_jax.data.streamed.video_frames import open_video
from lofi_jax.data.video import video_file
from lofi_jax.data.video.packets import VideoError
from lofi_jax.data.video.video_file import EXTENSIONS
from lofi_jax.errors import UserError
from lofi_jax.jobs import images
from lofi_jax.jobs.localizer import Localizer
from lofi_jax.reports import timelines
from lofi_jax.reports.tables import row_name
from lofi_jax.results import detection_files
from lofi_jax.results.detections import Detections
from lofi_jax.run import sources
from lofi_jax.training.progress import Progress

# Whose labels are names, unlike ActionFormer's .pkl.
ENDINGS = (".json", ".csv", ".srt", ".vtt")
PROPOSAL = "proposal"  # the label of all where only proposals are asked for


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is kept of a video's detections.

    Attributes:
        min_score: of a detection.
        top_k: most of a video; None: all.
        classes: whose; () for all.
        proposals_only: segments without classes.
    """

    min_score: float = 0.0
    top_k: int | None = None
    classes: tuple[str, ...] = ()
    proposals_only: bool = False

    def check(self, known: Container[str]) -> None:
        """Raises a `UserError` for a class that no detection can have."""
        unknown = [name for name in self.classes if name not in known]
        if unknown:
            raise UserError(f"--classes: the run knows no class {unknown[0]!r}")

    def of(self, found: Detections) -> Detections:
        if self.proposals_only:
            found = _unlabelled(found)
        return found.filter(self.min_score, self.classes or None).top(self.top_k)


ALL = Kept()


def _unlabelled(found: Detections) -> Detections:
    """Every segment once, with its best score."""
    best = found.top()
    seen: dict[tuple[float, float], int] = {}
    for i, segment in enumerate(best.segments.tolist()):
        seen.setdefault((segment[0], segment[1]), i)
    kept = best[list(seen.values())]
    return Detections(kept.segments, [PROPOSAL] * len(kept), kept.scores, kept.video)


def check_output(output: pathlib.Path, videos: list[pathlib.Path]) -> None:
    """Checks that the detections of some videos can be written to a file.

    Raises:
        UserError: another ending, many videos for one that holds one, or no such folder can be.
    """
    if output.suffix.lower() not in ENDINGS:
        raise UserError(f"--output={output}: the name must end in one of {', '.join(ENDINGS)}")
    if output.suffix.lower() in (".srt", ".vtt") and len(videos) > 1:
        raise UserError(
            f"--output={output}: holds one video, not {len(videos)}: choose .json or .csv"
        )


def run(
    localizer: Localizer,
    videos: list[pathlib.Path],
    output: pathlib.Path,
    timeline_dir: pathlib.Path | None = None,
    kept: Kept = ALL,
) -> str:
    """Detects in each video, saves after each, and draws timelines if asked for.

    A video's id is its file's, as `video_ids.of_file` has it; if that is taken, the file's name
    without and then with the ending, or else with a number. A video that cannot be decoded is left
    out; of a damaged one, the part that decodes is used. One that is longer than those trained on
    is cut into windows, and a line says so.

    Returns:
        A message about the videos.

    Raises:
        UserError: the output cannot be written, or no video could be decoded.
    """
    for folder in filter(None, (output.parent, timeline_dir)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
    results: dict[str, Detections] = {}
    notes: list[str] = []
    progress = Progress("predict", len(videos), unit="videos")
    for i, path in enumerate(videos):
        try:
            found, covered, frames = _detect(localizer, path, timeline_dir is not None)
        except VideoError as error:
            notes.append(f"skipped {error}")
        else:
            if covered:
                notes.append(f"used in part: {path}: {covered}")
            video_id = _new_id(path, results)
            results[video_id] = kept.of(dataclasses.replace(found, video=video_id))
            detection_files.save(output, results)
            if timeline_dir:
                _draw(localizer, timeline_dir / f"{video_id}.png", results[video_id], frames)
        progress.show(i + 1, {})
    progress.close()
    if not results:
        raise UserError("; ".join(notes))
    return "\n".join([*notes, f"{len(results)} of {len(videos)} videos -> {output}"])


class _Pictures(NamedTuple):
    """What a timeline shows beside the detections: the duration, and some frames."""

    duration: float
    frames: list[np.ndarray] | None


def _detect(
    localizer: Localizer, path: pathlib.Path, draws: bool
) -> tuple[Detections, str, _Pictures]:
    """As `Localizer.detect_file`, telling of windows, and in a long video of the progress in it."""
    duration = video_file.probe(path).duration
    windows = localizer.windows_for(duration)
    if windows is None and not localizer.in_pieces:
        record, covered = localizer.read(path)
        frames = images.thumbnails(localizer.run, record) if draws else None
        return localizer.detect_in(record), covered, _Pictures(record["duration"], frames)
    if windows is not None:
        print(
            f"{path}: its {duration:.1f} s are more than the {windows.seconds:.1f} s of the longest"
            f" training video: in windows of that length, which overlap by half",
            flush=True,
        )
    progress = Progress(path.name, round(duration), unit="s of video")
    found, covered = localizer.detect_file(path, lambda done, total: progress.show(round(done), {}))
    progress.close()
    frames = None
    if draws and not covered:
        record, _ = open_video(path, sources.sampling_of(localizer.run.config))
        frames = images.thumbnails(localizer.run, record)
    return found, covered, _Pictures(duration, frames)


def _new_id(path: pathlib.Path, taken: Container[str]) -> str:
    numbered = (f"{path.stem}_{n}" for n in itertools.count(2))
    possible = itertools.chain((video_ids.of_file(path), path.stem, path.name), numbered)
    return next(name for name in possible if name not in taken)


def _draw(localizer: Localizer, path: pathlib.Path, found: Detections, pictures: _Pictures) -> None:
    row = (row_name(dataclasses.asdict(localizer.row)), images.strongest(found))
    classes = (*localizer.classes, *sorted(set(found.labels) - set(localizer.classes)))
    timelines.draw(path, found.video, pictures.duration, [row], pictures.frames, classes)


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
