"""Detects in many video files: one file of detections, one timeline image per video."""

import dataclasses
import glob
import itertools
import pathlib
from collections.abc import Container, Mapping

from lofi_jax.comma_separated import names
from lofi_jax.data.video.packets import VideoError
from lofi_jax.data.video.video_file import EXTENSIONS
from lofi_jax.errors import UserError
from lofi_jax.jobs import images, view
from lofi_jax.jobs.localizer import Localizer
from lofi_jax.reports import timelines
from lofi_jax.reports.tables import row_name
from lofi_jax.results import detection_files, predictions, side_by_side
from lofi_jax.results.detections import Detections
from lofi_jax.training.progress import Progress


def run(
    localizer: Localizer,
    videos: list[pathlib.Path],
    output: pathlib.Path,
    timeline_dir: pathlib.Path | None = None,
    view_dir: pathlib.Path | None = None,
) -> str:
    """Detects in each video, saves after each, and draws timelines and a page that plays the videos
    if asked for.

    A video's id is its file name without the extension; with it if that is taken, or else with a
    number. A video that cannot be decoded is left out; of a damaged one, the part that decodes is
    used.

    Returns:
        A message about the videos.

    Raises:
        UserError: the output cannot be written, or no video could be decoded.
    """
    for folder in filter(None, (output.parent, timeline_dir, view_dir)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
    results: dict[str, Detections] = {}
    files: dict[str, pathlib.Path] = {}
    notes = []
    progress = Progress("predict", len(videos), unit="videos")
    for i, path in enumerate(videos):
        try:
            record, covered = localizer.read(path)
        except VideoError as error:
            notes.append(f"skipped {error}")
        else:
            if covered:
                notes.append(f"used in part: {path}: {covered}")
            video_id = _new_id(path, results)
            files[video_id] = path
            results[video_id] = localizer.detect_in(record | {"video_id": video_id})
            detection_files.save(output, results)
            if timeline_dir:
                _draw(localizer, timeline_dir / f"{video_id}.png", record, results[video_id])
        progress.show(i + 1, {})
    progress.close()
    if not results:
        raise UserError("; ".join(notes))
    if view_dir:
        notes.append(_write_view(view_dir, results, files))
    return "\n".join([*notes, f"{len(results)} of {len(videos)} videos -> {output}"])


def _write_view(
    folder: pathlib.Path, results: Mapping[str, Detections], files: Mapping[str, pathlib.Path]
) -> str:
    found = {"detections": predictions.of_detections(results)}
    data, placed = view.with_videos(side_by_side.unjudged(found), files, folder)
    view.write(folder, f"Detections in {len(results)} videos", data)
    return f"{folder / 'index.html'} plays them; {placed.summary()}"


def _new_id(path: pathlib.Path, taken: Container[str]) -> str:
    numbered = (f"{path.stem}_{n}" for n in itertools.count(2))
    possible = itertools.chain((path.stem, path.name), numbered)
    return next(name for name in possible if name not in taken)


def _draw(localizer: Localizer, path: pathlib.Path, record, found: Detections) -> None:
    row = (row_name(dataclasses.asdict(localizer.row)), images.strongest(found))
    frames = images.thumbnails(localizer.run, record)
    duration, classes = record["duration"], localizer.classes
    timelines.draw(path, path.stem, duration, [row], frames, classes, images.RULE)


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
