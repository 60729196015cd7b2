"""Inference: features to scored, labelled segments; and their evaluation."""

import json

import jax
import numpy as np

from lofi_jax.config import names
from lofi_jax.data import predictions
from lofi_jax.data.features import FeatureVideos
from lofi_jax.detection import metrics
from lofi_jax.detection.nms import soft_nms
from lofi_jax.models import HEADS
from lofi_jax.stages import classify, datasets, extract, head
from lofi_jax.stages.setup import Run, make_head
from lofi_jax.training.checkpoints import load_state

Detection = dict[str, object]


def path(run: Run, start: str):
    """The file of a start's detections."""
    return run.workdir / "detections" / f"{start}.json"


def run(run: Run, start: str) -> None:
    """Detects in every test video and writes the file."""
    target = datasets.target(run)
    videos, classified = _features(run, start), _features(run, classify.start(run))
    probabilities = classify.Classifier(run)
    checkpoint = run.config.head_checkpoint or head.folder(run, start) / "checkpoints"
    propose = Proposer(run, load_state(checkpoint)["params"]["head"])
    results = {}
    for i, video in enumerate(target.test_videos):
        found = propose(videos[i]["features"])
        labels = probabilities(classified[i]["features"])
        results[video.video_id] = label(run, found, labels, target.classes, video.duration)
    path(run, start).parent.mkdir(exist_ok=True)
    predictions.save(path(run, start), results)


def _features(run: Run, start: str) -> FeatureVideos:
    """The test videos as features of a start's encoder."""
    target = datasets.target(run)
    return FeatureVideos(
        extract.store(run, start), target.test_videos, target.classes, target.most_instances
    )


class Proposer:
    """Standardised features (L, C) of a video in, its best proposals out."""

    def __init__(self, run: Run, params):
        self._settings = run.config.detect
        self._proposals = HEADS[run.config.head.name].proposals
        model = make_head(run.config)
        self._apply = jax.jit(lambda x: model.apply({"params": params}, x))

    def __call__(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Segments (P, 2) in units of the video and scores (P,), after soft-NMS, best first."""
        outputs = jax.tree.map(np.asarray, self._apply(features[None]))
        segments, scores = self._proposals(outputs, self._settings.use_boundaries)[0]
        keep, scores = soft_nms(segments, scores, self._settings.nms_sigma, self._settings.top_k)
        return segments[keep], scores


def label(
    run: Run, found, probabilities: np.ndarray, classes: tuple[str, ...], duration: float
) -> list[Detection]:
    """Gives every proposal each of the video's most probable classes, in seconds, best first.

    The score is the proposal's times the class's (G-TAD's and BMN's way on ActivityNet).
    """
    best = np.argsort(-probabilities)[: run.config.classifier.top_classes]
    detections = [
        {
            "label": classes[c],
            "score": float(score * probabilities[c]),
            "segment": [float(start * duration), float(end * duration)],
        }
        for (start, end), score in zip(*found, strict=True)
        for c in best
    ]
    detections.sort(key=lambda d: -d["score"])
    return detections[: run.config.detect.top_k]


def load_detections(run: Run, start: str) -> dict[str, list[Detection]]:
    """A start's detections by video."""
    return json.loads(path(run, start).read_text())["results"]


def evaluate(run: Run) -> dict:
    """Every start's row of the table; written to results.json with the seconds of the stages."""
    target = datasets.target(run)
    rows = []
    for start in names(run.config.starts):
        found = predictions.load(path(run, start))
        row = {
            "start": start,
            "fidelity": run.config.joint.fidelity if start == "lofi" else "none",
            "head": run.config.head.name,
        }
        rows.append(row | _measure(target, found))
    return {"dataset": run.config.dataset, "rows": rows}


def _measure(target, found) -> dict:
    """mAP as it stands, and without regard to the class, which is localization alone."""
    truth = target.test_instances()
    detections = target.as_instances(found)
    classes = len(target.classes)
    tious = metrics.TIOUS_ACTIVITYNET
    measured = metrics.evaluate(truth, detections, classes, tious)
    agnostic = metrics.evaluate(
        metrics.class_agnostic(truth), metrics.class_agnostic(detections), 1, tious
    )
    localization = {key: agnostic[key] for key in ("average_mAP", "mAP")}
    return measured | {"class_agnostic": localization}
