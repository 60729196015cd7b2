"""Inference: features to scored, labelled segments; and their evaluation."""

import json
import pathlib

import jax
import numpy as np

from lofi_jax.config import rows_of
from lofi_jax.data import predictions
from lofi_jax.detection import metrics
from lofi_jax.detection.proposals import Proposals, suppress
from lofi_jax.models import HEADS
from lofi_jax.rows import Row
from lofi_jax.stages import classify, datasets, extract, head
from lofi_jax.stages.setup import Run, make_head
from lofi_jax.training.checkpoints import load_state

Detection = dict[str, object]


def path(run: Run, row: Row) -> pathlib.Path:
    """The file of a row's detections."""
    return run.workdir / "detections" / f"{row.name}.json"


def run(run: Run, row: Row) -> None:
    """Detects in every test video and writes the file."""
    target = datasets.target(run)
    standardise = run.config.head_training.standardise
    videos = extract.videos(run, row.encoder, target.test_videos, standardise)
    propose = Proposer(run, row, len(target.classes))
    if HEADS[row.head].classifies:
        probabilities = np.ones((len(videos), len(target.classes)))
    else:
        probabilities = classify.test_probabilities(run)
    results = {}
    for i, video in enumerate(target.test_videos):
        found = propose(videos[i]["features"], video.duration)
        results[video.video_id] = label(
            run, found, probabilities[i], target.classes, video.duration
        )
    path(run, row).parent.mkdir(exist_ok=True)
    predictions.save(path(run, row), results)


class Proposer:
    """Features (n, C), standardised where the config's head sees such, and duration in seconds of a video in, its best
    proposals out."""

    def __init__(self, run: Run, row: Row, classes: int):
        self._settings = run.config.detect
        self._windows = datasets.windows_of(run.config)
        self._head = make_head(run.config, row.head, classes)
        params = load_state(head.checkpoint(run, row))["params"]["head"]
        self._apply = jax.jit(lambda x: self._head.apply({"params": params}, x))

    def __call__(self, features: np.ndarray, duration: float) -> Proposals:
        """The video's proposals after soft-NMS, best first."""
        if self._windows:
            found = [self._propose(window) for window in self._windows.split(features)]
            found = self._windows.merge(found, len(features), duration)
        else:
            found = self._propose(features)
        return suppress(found, self._settings.nms_sigma, self._settings.top_k)

    def _propose(self, features: np.ndarray) -> Proposals:
        """All proposals in features (L, C), of a video or of a window, in units of it."""
        outputs = jax.tree.map(np.asarray, self._apply(features[None]))
        return self._head.proposals(outputs, self._settings.use_boundaries)[0]


def label(
    run: Run, found: Proposals, probabilities: np.ndarray, classes: tuple[str, ...], duration: float
) -> list[Detection]:
    """Gives every proposal each of the video's most probable classes, in seconds, best first.

    The score is the proposal's times the class's (G-TAD's and BMN's way on ActivityNet). A proposal that has a class
    keeps it and its score.
    """
    if found.labels is None:
        best = np.argsort(-probabilities)[: run.config.classifier.top_classes]
        labels = [[(c, probabilities[c]) for c in best]] * len(found.scores)
    else:
        labels = [[(c, 1.0)] for c in found.labels]
    detections = [
        {
            "label": classes[c],
            "score": float(score * probability),
            "segment": [float(start * duration), float(end * duration)],
        }
        for (start, end), score, given in zip(found.segments, found.scores, labels, strict=True)
        for c, probability in given
    ]
    detections.sort(key=lambda d: -d["score"])
    return detections[: run.config.detect.top_k]


def load_detections(run: Run, row: Row) -> dict[str, list[Detection]]:
    """A row's detections by video."""
    return json.loads(path(run, row).read_text())["results"]


def evaluate(run: Run) -> dict:
    """The measures of every row, as results.json holds them."""
    target = datasets.target(run)
    rows = []
    for row in rows_of(run.config):
        measures = _measure(target, predictions.load(path(run, row)), _tious(run))
        rows.append({"start": row.start, "fidelity": row.fidelity, "head": row.head} | measures)
    return {"dataset": run.config.dataset, "rows": rows}


def _tious(run: Run) -> np.ndarray:
    """The thresholds that results on the run's dataset are reported at."""
    if run.config.dataset == "thumos14":
        return metrics.TIOUS_THUMOS
    return metrics.TIOUS_ACTIVITYNET


def _measure(target, found, tious: np.ndarray) -> dict:
    """mAP as it stands, and without regard to the class, which is localization alone."""
    truth = target.test_instances()
    detections = target.as_instances(found)
    classes = len(target.classes)
    measured = metrics.evaluate(truth, detections, classes, tious)
    agnostic = metrics.evaluate(
        metrics.class_agnostic(truth), metrics.class_agnostic(detections), 1, tious
    )
    localization = {key: agnostic[key] for key in ("average_mAP", "mAP")}
    return measured | {"class_agnostic": localization}
