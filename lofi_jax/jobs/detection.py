"""Detections of a run's rows in its test videos, and their evaluation."""

import dataclasses
import pathlib
from typing import Any

from lofi_jax.config import rows_of, suppression, tious
from lofi_jax.config.rows import Row
from lofi_jax.data.features.padded_batches import feature_batches
from lofi_jax.data.subset import Subset
from lofi_jax.detection.proposals import Proposals
from lofi_jax.files import try_to_write
from lofi_jax.jobs import labels
from lofi_jax.results import by_ending, predictions
from lofi_jax.results.detections import Detections
from lofi_jax.run import checkpoints, datasets, features
from lofi_jax.run.made_from import is_made_from, stamp
from lofi_jax.run.networks import classifies, make_head
from lofi_jax.run.start import Run
from lofi_jax.stages import detect
from lofi_jax.stages.detect import Proposer
from lofi_jax.training import folders, processes
from lofi_jax.training.checkpoints import load_state
from lofi_jax.training.progress import Progress


def detect_in_test_videos(run: Run, row: Row) -> None:
    """Detects in every test video and writes the file, unless it exists for the same features and
    checkpoints.
    """
    target, path = datasets.target(run), run.workdir.detections(row)
    standardise = run.config.head_training.standardise
    videos = features.of_videos(run, row.encoder, target.test_videos, standardise)
    made_from = _sources(run, row)
    if is_made_from(path, made_from):
        return
    try_to_write(path)
    probabilities = _none if classifies(row.head) else labels.of_test_videos(run)
    propose = proposer(run, row, len(target.classes))
    index, count = processes.place()
    own = range(index, len(videos), count)
    progress = Progress(f"detect ({row.name})", len(own), unit="videos")
    numbers, results = iter(own), {}
    if target.windows:
        batches = propose.all_of_windows(
            (videos[i]["features"], target.test_videos[i].known_duration) for i in own
        )
    else:
        size = run.config.detect.batch_size
        batches = propose.all(feature_batches(Subset(videos, own), size))
    for found in batches:
        for proposals, i in zip(found, numbers, strict=False):
            video = target.test_videos[i]
            one = labelled(
                run,
                proposals,
                probabilities(i, proposals),
                target.classes,
                video.known_duration,
                video.video_id,
            )
            results[video.video_id] = one.entries()
        progress.show(len(results), {})
    progress.close()
    found = processes.collect(path, results)
    if processes.is_first():
        ordered = {video.video_id: found[video.video_id] for video in target.test_videos}
        stamp(path, made_from, lambda: predictions.save(path, ordered))
    processes.wait(f"detect {row.name}: written")


def _none(number: int, found: Proposals) -> None:
    """What a head that classifies needs to label proposals."""


def proposer(run: Run, row: Row, classes: int) -> Proposer:
    """A row's trained head."""
    config = run.config
    settings = detect.Settings(
        suppression(config, row.head),
        datasets.windows_of(config),
        config.detect.batch_size,
        config.dtype,
    )
    params = load_state(checkpoints.of_head(run, row))["params"]["head"]
    return Proposer(make_head(config, row.head, classes), params, settings)


def labelled(
    run: Run, found: Proposals, probabilities, classes, duration: float, video: str
) -> Detections:
    """A video's proposals as the run's config labels them; see `detect.label`."""
    top_classes, top_k = run.config.classifier.top_classes, run.config.detect.top_k
    return detect.label(found, probabilities, classes, duration, top_classes, top_k, video)


def _sources(run: Run, row: Row) -> dict[str, pathlib.Path]:
    """The inputs of a row's detections, besides the settings, which are the workdir's."""
    config = run.config
    made_from = {
        "features": features.store(run, row.encoder).description,
        "head": checkpoints.of_head(run, row),
    }
    if config.data.annotations:
        made_from["annotations"] = pathlib.Path(config.data.annotations)
    if classifies(row.head):
        return made_from
    if config.classifier.file:
        return made_from | {"class scores": pathlib.Path(config.classifier.file)}
    encoder = labels.encoder_of(run)
    return made_from | {
        "classifier": folders.checkpoints(labels.folder(run, labels.trained_level(run))),
        "classifier's features": features.store(run, encoder).description,
    }


def load_detections(run: Run, row: Row) -> dict[str, Detections]:
    """A row's detections by video."""
    return by_ending.load(run.workdir.detections(row))


def evaluate(run: Run) -> dict[str, Any]:
    """The metrics of every row, as in results.json. The first process returns them; the others
    help.
    """
    target, thresholds = datasets.target(run), tious(run.config)
    table, truth = rows_of(run.config), target.test_instances()
    index, count = processes.place()
    own = {}
    for row in table[index::count]:
        found = target.as_instances(predictions.load(run.workdir.detections(row)))
        own[row.name] = detect.measure(truth, found, len(target.classes), thresholds)
    measures = processes.collect(run.workdir.results, own)
    rows = [dataclasses.asdict(row) | measures.get(row.name, {}) for row in table]
    return {"dataset": run.config.dataset, "rows": rows}
