"""Detects in many video files: one file of detections, one timeline image per video."""

import dataclasses
import glob
import itertools
import os
import pathlib
from collections.abc import Container

from lofi_jax.comma_separated import names
from lofi_jax.data.ingest.video_folder import video_files_in
from lofi_jax.data.video.packets import VideoError
from lofi_jax.errors import LONGEST, UserError, naming_full_disk, one_line
from lofi_jax.files import safe_name
from lofi_jax.jobs import images
from lofi_jax.jobs.localizer import Localizer
from lofi_jax.reports import timelines
from lofi_jax.reports.tables import row_name
from lofi_jax.results import detection_files
from lofi_jax.results.detections import Detections
from lofi_jax.training.progress import Progress


def run(
    localizer: Localizer,
    videos: list[pathlib.Path],
    output: pathlib.Path,
    timeline_dir: pathlib.Path | None = None,
) -> str:
    """Detects in each video, saves after each, and draws timelines if asked for.

    A video's id is its file name without the extension; with it if that is taken, or else with a
    number. A video that cannot be decoded is left out; of a damaged one, the part that decodes is
    used.

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
    notes = []
    progress = Progress("predict", len(videos), unit="videos")
    for i, path in enumerate(videos):
        try:
            record, covered = localizer.read(path)
        except VideoError as error:
            notes.append(one_line(f"skipped {error}", LONGEST))
        else:
            if covered:
                notes.append(one_line(f"used in part: {path}: {covered}", LONGEST))
            video_id = _new_id(path, results)
            results[video_id] = localizer.detect_in(record | {"video_id": video_id})
            detection_files.save(output, results)
            if timeline_dir:
                image = timeline_dir / f"{safe_name(video_id)}.png"
                with naming_full_disk(timeline_dir):
                    _draw(localizer, image, record, results[video_id])
        progress.show(i + 1, {})
    progress.close()
    if not results:
        raise UserError("; ".join(notes))
    return "\n".join([*notes, f"{len(results)} of {len(videos)} videos -> {output}"])


def _new_id(path: pathlib.Path, taken: Container[str]) -> str:
    # A name may hold bytes that are no text.
    stem, name = (os.fsencode(part).decode(errors="replace") for part in (path.stem, path.name))
    numbered = (f"{stem}_{n}" for n in itertools.count(2))
    possible = itertools.chain((stem, name), numbered)
    return next(name for name in possible if name not in taken)


def _draw(localizer: Localizer, path: pathlib.Path, record, found: Detections) -> None:
    row = (row_name(dataclasses.asdict(localizer.row)), images.strongest(found))
    frames = images.thumbnails(localizer.run, record)
    timelines.draw(path, found.video, record["duration"], [row], frames, localizer.classes)


def expand(paths: str) -> list[pathlib.Path]:
    """The video files of a comma-separated list of files, folders and patterns, each once.

    Raises:
        UserError: an entry that matches nothing.
    """
    files: dict[pathlib.Path, None] = {}
    for entry in names(paths):
        path = pathlib.Path(entry)
        if path.is_dir():
            found = sorted(video_files_in(path))
        elif path.exists():
            found = [path]
        else:
            found = [pathlib.Path(p) for p in sorted(glob.glob(entry, recursive=True))]
        if not found:
            raise UserError(f"{entry}: no such video file, folder of videos or pattern")
        files |= dict.fromkeys(found)
    return list(files)
