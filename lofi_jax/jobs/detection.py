"""Detections of a run's rows in its test videos, and their evaluation."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from lofi_jax.config import rows_of, suppression, tious
from lofi_jax.config.rows import Row
from lofi_jax.data.features.padded_batches import feature_batches
from lofi_jax.data.subset import Subset
from lofi_jax.detection.proposals import Proposals
from lofi_jax.errors import UserError
from lofi_jax.files import read_own_json
from lofi_jax.jobs.trainings import CLASSIFIER_STANDARDISES, classifier_encoder, classifier_model
from lofi_jax.results import class_scores, detection_files, predictions
from lofi_jax.results.detections import Detections
from lofi_jax.run import checkpoints, datasets, features, workdir
from lofi_jax.run.made_from import is_made_from, stamp
from lofi_jax.run.networks import classifies, make_head
from lofi_jax.run.start import Run
from lofi_jax.stages import detect
from lofi_jax.stages.classify import Classifier
from lofi_jax.stages.detect import Proposer
from lofi_jax.training import processes
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
    if classifies(row.head):
        probabilities = np.ones((len(videos), len(target.classes)))
    else:
        probabilities = _probabilities(run)
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
                probabilities[i],
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


def classifier(run: Run) -> Classifier:
    """The run's trained classifier of videos.

    Raises:
        UserError: there is none.
    """
    if run.config.classifier.file:
        raise UserError("config.classifier.file has scores for its own videos only")
    folder = run.workdir.classifier(classifier_encoder(run))
    if not (folder / "classes.json").exists():
        raise UserError(
            f"{run.workdir.root}: holds no trained classifier: run the stage head first"
        )
    classes = read_own_json(folder / "classes.json")
    params = load_state(workdir.checkpoints(folder))["params"]["classifier"]
    model = classifier_model(run, len(classes))
    windows, size = datasets.windows_of(run.config), run.config.detect.batch_size
    return Classifier(classes, model, params, windows, size)


def labelled(
    run: Run, found: Proposals, probabilities, classes, duration: float, video: str
) -> Detections:
    """A video's proposals as the run's config labels them; see `detect.label`."""
    top_classes, top_k = run.config.classifier.top_classes, run.config.detect.top_k
    return detect.label(found, probabilities, classes, duration, top_classes, top_k, video)


def _probabilities(run: Run) -> np.ndarray:
    """Class probabilities (videos, classes) of the test videos, external or from our classifier."""
    target, file = datasets.target(run), run.config.classifier.file
    if file:
        ids = [video.video_id for video in target.test_videos]
        scores, missing = class_scores.load(file, ids, target.classes)
        if missing:
            print(f"{file}: lacks {len(missing)} test videos, such as {missing[0]}")
        return scores
    encoder = classifier_encoder(run)
    videos = features.of_videos(run, encoder, target.test_videos, CLASSIFIER_STANDARDISES)
    predict = classifier(run)
    if target.windows:
        return np.stack([predict.video(videos[i]["features"]) for i in range(len(videos))])
    return predict.videos(feature_batches(videos, run.config.detect.batch_size))


def _sources(run: Run, row: Row) -> dict[str, pathlib.Path]:
    """The inputs of a row's detections, besides the settings, which are the workdir's."""
    config = run.config
    made_from = {
        "features": features.store(run, row.encoder).folder / "features.json",
        "head": checkpoints.of_head(run, row),
    }
    if config.data.annotations:
        made_from["annotations"] = pathlib.Path(config.data.annotations)
    if classifies(row.head):
        return made_from
    if config.classifier.file:
        return made_from | {"class scores": pathlib.Path(config.classifier.file)}
    encoder = classifier_encoder(run)
    return made_from | {
        "classifier": workdir.checkpoints(run.workdir.classifier(encoder)),
        "classifier's features": features.store(run, encoder).folder / "features.json",
    }


def load_detections(run: Run, row: Row) -> dict[str, Detections]:
    """A row's detections by video."""
    return detection_files.load(run.workdir.detections(row))


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
