"""Detects in many video files: one file of detections, one timeline image per video."""

import dataclasses
import itertools
import pathlib
from collections.abc import Container, Mapping
from typing import NamedTuple

import numpy as np

from lofi_jax.data import video_ids
from lofi_jax.data.streamed.video_frames import open_video
from lofi_jax.data.video import video_file
from lofi_jax.data.video.packets import VideoError
from lofi_jax.detection.windows import Windows
from lofi_jax.errors import LONGEST, UsageError, UserError, naming_full_disk, one_line
from lofi_jax.files import naming_unwritable, safe_name, try_to_fill, try_to_write
from lofi_jax.jobs import images, view
from lofi_jax.jobs.prediction.detector import Detector
from lofi_jax.jobs.prediction.localizer import Localizer
from lofi_jax.results import by_ending, predictions, side_by_side
from lofi_jax.results.detections import Detections
from lofi_jax.results.kept import ALL, Kept
from lofi_jax.run import sources
from lofi_jax.training.progress import Progress

# Whose labels are names, unlike ActionFormer's .pkl.
ENDINGS = (".json", ".csv", ".srt", ".vtt")


def check_output(
    output: pathlib.Path, videos: list[pathlib.Path], *folders: pathlib.Path | None
) -> None:
    """Checks that the detections of some videos can be written to a file, and more into folders.

    Raises:
        UserError: another ending, many videos for one that holds one, or no such file or folder can
            be.
    """
    if output.suffix.lower() not in ENDINGS:
        raise UsageError(f"--output={output}: the name must end in one of {', '.join(ENDINGS)}")
    if output.suffix.lower() in (".srt", ".vtt") and len(videos) > 1:
        raise UsageError(
            f"--output={output}: holds one video, not {len(videos)}: choose .json or .csv"
        )
    try_to_write(output)
    for folder in filter(None, folders):
        if output.absolute() in (folder.absolute(), *folder.absolute().parents):
            raise UsageError(f"--output={output}: is a folder's name too: name another")
        try_to_fill(folder)


def run(
    detector: Detector,
    videos: list[pathlib.Path],
    output: pathlib.Path,
    timeline_dir: pathlib.Path | None = None,
    kept: Kept = ALL,
    view_dir: pathlib.Path | None = None,
    does: str = "predict",
) -> str:
    """Detects in each video, saves after each, and draws timelines and a page that plays the videos
    if asked for.

    A video's id is its file's, as `video_ids.of_file` has it; if that is taken, the file's name
    without and then with the ending, or else with a number. A video that cannot be decoded is left
    out; of a damaged one, the part that decodes is used. One that is longer than those trained on
    is cut into windows, and a line says so. Progress is told under the name of
    what it `does`.

    Returns:
        A message about the videos.

    Raises:
        UserError: the output cannot be written, or no video could be decoded.
    """
    for folder in filter(None, (output.parent, timeline_dir, view_dir)):
        with naming_unwritable(folder):
            folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Detections] = {}
    files: dict[str, pathlib.Path] = {}
    notes: list[str] = []
    progress = Progress(does, len(videos), unit="videos")
    for i, path in enumerate(videos):
        try:
            found, covered, frames = _detect(detector, path, timeline_dir is not None)
        except VideoError as error:
            notes.append(f"skipped {error}")
        else:
            if covered:
                notes.append(f"used in part: {path}: {covered}")
            video_id = _new_id(path, results)
            files[video_id] = path
            results[video_id] = kept.of(dataclasses.replace(found, video=video_id))
            by_ending.save(output, results)
            if timeline_dir:
                image = timeline_dir / f"{safe_name(video_id)}.png"
                with naming_full_disk(timeline_dir):
                    _draw(detector, image, results[video_id], frames)
        progress.show(i + 1, {})
    progress.close()
    if not results:
        raise UserError("; ".join(notes))
    if view_dir:
        notes.append(_write_view(view_dir, results, files))
    notes.append(f"{len(results)} of {len(videos)} videos -> {output}")
    return "\n".join(one_line(note, LONGEST) for note in notes)


class _Images(NamedTuple):
    """What a timeline shows beside the detections: the duration, and some frames."""

    duration: float
    frames: list[np.ndarray] | None


def _detect(detector: Detector, path: pathlib.Path, draws: bool) -> tuple[Detections, str, _Images]:
    """The actions in a video, how much of a damaged one is used, and what a timeline shows."""
    if isinstance(detector, Localizer):
        duration = video_file.probe(path).duration
        windows = detector.windows_for(duration)
        if windows is not None or detector.in_pieces:
            return _detect_in_pieces(detector, path, windows, duration, draws)
    record, covered = detector.read(path)
    frames = detector.thumbnails(record) if draws else None
    return detector.detect_in(record), covered, _Images(record.duration, frames)


def _detect_in_pieces(
    localizer: Localizer, path: pathlib.Path, windows: Windows | None, duration: float, draws: bool
) -> tuple[Detections, str, _Images]:
    """As `_detect`, telling of windows, if any, and of the progress in the video."""
    if windows is not None:
        print(
            one_line(
                f"{path}: its {duration:.1f} s are more than the {windows.seconds:.1f} s of the"
                " longest training video: in windows of that length, which overlap by half",
                LONGEST,
            ),
            flush=True,
        )
    progress = Progress(one_line(path.name), round(duration), unit="s of video")
    found, covered = localizer.detect_file(path, lambda done, total: progress.show(round(done), {}))
    progress.close()
    frames = None
    if draws and not covered:
        record, _ = open_video(path, sources.sampling_of(localizer.run.config))
        frames = localizer.thumbnails(record)
    return found, covered, _Images(duration, frames)


def _write_view(
    folder: pathlib.Path, results: Mapping[str, Detections], files: Mapping[str, pathlib.Path]
) -> str:
    found = {"detections": predictions.of_detections(results)}
    data, placed = view.with_videos(side_by_side.unjudged(found), files, folder)
    view.write(folder, f"Detections in {len(results)} videos", data)
    return f"{folder / 'index.html'} plays them; {placed.summary()}"


def _new_id(path: pathlib.Path, taken: Container[str]) -> str:
    readable = video_ids.readable(path)
    stem = readable.stem
    numbered = (f"{stem}_{n}" for n in itertools.count(2))
    possible = itertools.chain((video_ids.of_file(readable), stem, readable.name), numbered)
    return next(name for name in possible if name not in taken)


def _draw(detector: Detector, path: pathlib.Path, found: Detections, drawn: _Images) -> None:
    # Only here: Matplotlib takes a second to import.
    from lofi_jax.reports import timelines

    row = (detector.name, images.strongest(found))
    classes = (*detector.classes, *sorted(set(found.labels) - set(detector.classes)))
    duration, frames = drawn
    timelines.draw(path, found.video, duration, [row], frames, classes, images.RULE)
