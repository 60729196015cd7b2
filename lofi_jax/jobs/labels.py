"""How the proposals of heads that don't classify get their labels: from a classifier of videos or
of segments, which every row shares, or from external scores.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lofi_jax.config import rows_of
from lofi_jax.config.settings import SEGMENT, VIDEO
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.features.padded_batches import feature_batches
from lofi_jax.detection.proposals import Proposals
from lofi_jax.errors import UserError
from lofi_jax.files import read_own_json
from lofi_jax.models.classifier import VideoClassifier
from lofi_jax.models.segment_classifier import SegmentClassifier
from lofi_jax.results import class_scores
from lofi_jax.run import datasets, features
from lofi_jax.run.start import Run
from lofi_jax.stages.classify import Classifier
from lofi_jax.stages.classify_segments import SegmentLabels
from lofi_jax.training import folders
from lofi_jax.training.checkpoints import load_state

# Independent of `config.head_training.standardise`, which is for heads: the classifier is ours.
STANDARDISES = True

# A classifier of videos is right for at most one class a video. A few videos with a second class,
# as in ActivityNet (0.05%), HACS or THUMOS14 (13.5%, dives from cliffs), leave it the better one.
SEVERAL = 0.2

# Standardised features (n, C) of a video, segments (P, 2) in units of it and its duration in
# seconds in; the classes' probabilities out, of the video or of each segment.
Labels = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def encoder_of(run: Run) -> str:
    """The encoder whose features the classifier sees: the first row's.

    The same classifier labels the proposals of every row, so rows differ in localization alone. The
    paper uses one external classifier for all.
    """
    return rows_of(run.config)[0].encoder


def with_several(videos: Sequence[Video]) -> float:
    """The share of several classes among the videos that have any."""
    counts = np.array([len(set(video.labels)) for video in videos if video.labels])
    return float(np.mean(counts > 1)) if len(counts) else 0.0


def asked_for(wanted: str, share: float) -> str:
    """VIDEO or SEGMENT: the level that the config names, or for "auto" the one that suits a share
    of training videos with several classes.
    """
    if wanted != "auto":
        return wanted
    return SEGMENT if share > SEVERAL else VIDEO


def level(run: Run) -> str:
    """What the run's own classifier classifies, VIDEO or SEGMENT, and says so."""
    wanted = run.config.classifier.level
    share = with_several(datasets.target(run).train_videos)
    chosen = asked_for(wanted, share)
    if wanted == "auto":
        print(
            f"labels by {chosen}: {share:.1%} of the training videos hold several classes"
            " (config.classifier.level)"
        )
    return chosen


def folder(run: Run, level: str) -> pathlib.Path:
    """The training of the classifier of a level."""
    place = run.workdir.segment_classifier if level == SEGMENT else run.workdir.classifier
    return place(encoder_of(run))


def model(run: Run, level: str, classes: int) -> VideoClassifier | SegmentClassifier:
    """The classifier of a level."""
    kind = SegmentClassifier if level == SEGMENT else VideoClassifier
    return kind(classes, run.config.classifier.hidden)


def trained_level(run: Run) -> str:
    """What the classifier in the workdir classifies; needs no dataset."""
    wanted = run.config.classifier.level
    if wanted != "auto":
        return wanted
    return SEGMENT if folder(run, SEGMENT).is_dir() else VIDEO


def classes(run: Run) -> list[str]:
    """The names of the classes that the run's classifier was trained on.

    Raises:
        UserError: there is none.
    """
    if run.config.classifier.file:
        raise UserError("config.classifier.file has scores for its own videos only")
    path = folder(run, trained_level(run)) / "classes.json"
    if not path.exists():
        raise UserError(
            f"{run.workdir.root}: holds no trained classifier: run the stage head first"
        )
    return read_own_json(path)


def of_any_video(run: Run) -> Labels:
    """The run's trained classifier.

    Raises:
        UserError: there is none.
    """
    if trained_level(run) == SEGMENT:
        return _of_segments(run)
    classify = _of_videos(run)
    return lambda seen, segments, duration: classify.video(seen)


def of_test_videos(run: Run) -> Callable[[int, Proposals], np.ndarray]:
    """From the number of a test video and its proposals to the classes' probabilities.

    Raises:
        UserError: there is neither a trained classifier nor a file of scores.
    """
    target, file = datasets.target(run), run.config.classifier.file
    if file:
        ids = [video.video_id for video in target.test_videos]
        scores, missing = class_scores.load(file, ids, target.classes)
        if missing:
            print(f"{file}: lacks {len(missing)} test videos, such as {missing[0]}")
        return lambda i, found: scores[i]
    videos = features.of_videos(run, encoder_of(run), target.test_videos, STANDARDISES)
    if trained_level(run) == SEGMENT:
        label = _of_segments(run)
        durations = [video.known_duration for video in target.test_videos]
        return lambda i, found: label(videos[i]["features"], found.segments, durations[i])
    classify = _of_videos(run)
    if target.windows:
        scores = np.stack([classify.video(videos[i]["features"]) for i in range(len(videos))])
    else:
        scores = classify.videos(feature_batches(videos, run.config.detect.batch_size))
    return lambda i, found: scores[i]


def _of_videos(run: Run) -> Classifier:
    names = classes(run)
    made = VideoClassifier(len(names), run.config.classifier.hidden)
    windows, size = datasets.windows_of(run.config), run.config.detect.batch_size
    return Classifier(names, made, _trained(run, VIDEO), windows, size)


def _of_segments(run: Run) -> SegmentLabels:
    names = classes(run)
    made = SegmentClassifier(len(names), run.config.classifier.hidden)
    windows, most = datasets.windows_of(run.config), run.config.detect.top_k
    return SegmentLabels(names, made, _trained(run, SEGMENT), windows, most)


def _trained(run: Run, level: str) -> Any:
    return load_state(folders.checkpoints(folder(run, level)))["params"]["classifier"]
