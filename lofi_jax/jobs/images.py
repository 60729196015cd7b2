"""The images of a run: timelines of test videos and the training curves."""

import dataclasses
import pathlib

import numpy as np

from lofi_jax.config import full_fidelity, rows_of
from lofi_jax.data.loader import clips
from lofi_jax.data.record import Record
from lofi_jax.data.video import jpeg
from lofi_jax.fidelity import Fidelity
from lofi_jax.files import safe_name
from lofi_jax.jobs import detection
from lofi_jax.reports.segments import Segment
from lofi_jax.reports.tables import row_name
from lofi_jax.results.detections import Detections
from lofi_jax.run import datasets
from lofi_jax.run.start import Run
from lofi_jax.training.curve import read_curve

_THUMBNAILS = 16
# More detections per row, or fainter ones, are hard to read.
_STRONGEST, _FAINTEST = 15, 0.1
RULE = (
    f"Of each row the best {_STRONGEST} detections at most, and none under a tenth of the row's"
    " best score."
)


def draw(run: Run) -> None:
    """Draws timelines/<video_id>.png of the first test videos, and curves.png."""
    # Only here: Matplotlib takes a second to import.
    from lofi_jax.reports import curves, timelines

    target = datasets.target(run)
    table = rows_of(run.config)
    found = {
        row_name(dataclasses.asdict(row)): detection.load_detections(run, row) for row in table
    }
    folder = run.workdir.timelines
    folder.mkdir(exist_ok=True)
    for i, video in enumerate(target.test_videos[: run.config.timelines]):
        truth = [
            Segment(start, end, label)
            for label, (start, end) in zip(video.labels, video.segments.tolist(), strict=True)
        ]
        rows = [("ground truth", truth)]
        rows += [(name, strongest(found[name][video.video_id])) for name in found]
        timelines.draw(
            folder / f"{safe_name(video.video_id)}.png",
            video.video_id,
            video.known_duration,
            rows,
            frames=thumbnails(run, target.test[i]) if target.test else None,
            classes=target.classes,
            note=RULE,
        )
    curves.draw(
        run.workdir.curves,
        {
            folder.relative_to(run.workdir.root).as_posix(): _curve(folder)
            for folder in run.workdir.trainings()
        },
    )


def strongest(found: Detections) -> list[Segment]:
    """The detections of a video that its image shows, by `RULE`, best first."""
    least = _FAINTEST * found.scores.max(initial=0.0)
    return [Segment(*one) for one in found.filter(min_score=least).top(_STRONGEST)]


def _curve(training: pathlib.Path) -> list[dict[str, float]]:
    """A training's curve with only the terms of its loss."""
    return [
        {name: value for name, value in entry.items() if name != "waiting_for_data"}
        for entry in read_curve(training)
    ]


def thumbnails(run: Run, record: Record) -> list[np.ndarray]:
    """A few frames of a stored video, evenly spread."""
    full = full_fidelity(run.config)
    return spread(record, run.config.data.frames, full.height, full.width)


def spread(record: Record, frames: int, height: int, width: int) -> list[np.ndarray]:
    """A few frames of a record, evenly spread, in the form of an image of height x width pixels.

    Args:
        frames: of a snippet, whose first is taken.
    """
    stored = len(record.frames) // frames
    chosen = np.unique(np.linspace(0, stored - 1, _THUMBNAILS).round().astype(int))
    crop = jpeg.centre_crop(*record.size, width / height)
    fidelity = Fidelity(stored, min(height, 96), min(width, 96))
    return list(clips.Clip(record, chosen * frames, fidelity, crop).read())
