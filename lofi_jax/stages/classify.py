"""Class probabilities of whole videos, which give proposals their labels: an external file's, or our own classifier's.

The classifier sees the features of the first row's encoder, the one pretrained to classify, and labels the proposals of
every row: rows differ in localization alone, as in the paper, where one external classifier serves them all.
"""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from lofi_jax.config import rows_of
from lofi_jax.data import class_scores
from lofi_jax.errors import UserError
from lofi_jax.models import classifier
from lofi_jax.stages import datasets, extract, head
from lofi_jax.stages.batches import feature_batches, padded_batches
from lofi_jax.stages.setup import Run, steps_for
from lofi_jax.training import loop
from lofi_jax.training.checkpoints import load_state

# Whatever `config.head_training.standardise` says for heads: the classifier is our own.
_STANDARDISE = True


def encoder(run: Run) -> str:
    """The encoder whose features the classifier sees."""
    return rows_of(run.config)[0].encoder


def sources(run: Run) -> dict[str, pathlib.Path]:
    """What the probabilities come from: the external file, or the classifier and the features that it sees."""
    if run.config.classifier.file:
        return {"class scores": pathlib.Path(run.config.classifier.file)}
    features = extract.store(run, encoder(run)).folder / "features.json"
    return {"classifier": _folder(run) / "checkpoints", "classifier's features": features}


def _folder(run: Run) -> pathlib.Path:
    return run.workdir / "classifier" / encoder(run)


def run(run: Run) -> None:
    """Trains the classifier by cross-entropy against the classes that a video contains."""
    config, settings = run.config, run.config.classifier
    if settings.file:
        return
    target = datasets.target(run)
    steps = steps_for(settings.epochs, target.training_examples, settings.batch_size)
    folder = _folder(run)
    head.claim(run, folder, encoder(run))
    if loop.is_finished(folder, steps):
        return
    classes = len(target.classes)
    model = classifier.VideoClassifier(classes, settings.hidden)

    def loss(params, statistics, batch, key):
        logits = model.apply({"params": params["classifier"]}, batch["features"])
        wanted = classifier.target_distribution(batch["labels"], batch["valid"], classes)
        correct = jnp.take_along_axis(wanted, logits.argmax(axis=1)[:, None], axis=1) > 0
        return classifier.loss(logits, wanted), ({"accuracy": correct.mean()}, statistics)

    def initial(features):
        return {"classifier": model.init(jax.random.key(config.seed), features)["params"]}

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classes.json").write_text(json.dumps(target.classes))
    videos = extract.training_examples(run, encoder(run), _STANDARDISE)
    head.train(run, "classifier", folder, videos, settings, steps, initial, loss)


class Classifier:
    """Standardised features (B, L, C) of videos in, the probability (B, classes) of each of `classes` out."""

    def __init__(self, run: Run):
        if run.config.classifier.file:
            raise UserError("config.classifier.file has no scores of other videos than its own")
        folder = _folder(run)
        if not (folder / "classes.json").exists():
            raise UserError(f"{run.workdir}: holds no trained classifier: run the stage head first")
        self.classes = tuple(json.loads((folder / "classes.json").read_text()))
        model = classifier.VideoClassifier(len(self.classes), run.config.classifier.hidden)
        params = load_state(folder / "checkpoints")["params"]["classifier"]
        self._windows = datasets.windows_of(run.config)
        self._batch = run.config.detect.batch_size
        apply = jax.jit(lambda params, x: jax.nn.softmax(model.apply({"params": params}, x)))
        self._apply = functools.partial(apply, jax.device_put(params))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(self._apply(features))

    def video(self, features: np.ndarray) -> np.ndarray:
        """The probabilities (classes,) of one video from its features (n, C): the mean over any windows."""
        if self._windows is None:
            return self(features[None])[0]
        batches = padded_batches(self._windows.split(features), self._batch)
        return np.concatenate([self(batch)[:count] for batch, count in batches]).mean(axis=0)


def test_probabilities(run: Run) -> np.ndarray:
    """The probabilities (videos, classes) of the test videos."""
    target = datasets.target(run)
    if run.config.classifier.file:
        ids = [video.video_id for video in target.test_videos]
        scores, missing = class_scores.load(run.config.classifier.file, ids, target.classes)
        if missing:
            print(
                f"{run.config.classifier.file}: lacks {len(missing)} test videos, such as {missing[0]}"
            )
        return scores
    features = extract.videos(run, encoder(run), target.test_videos, _STANDARDISE)
    predict = Classifier(run)
    if target.windows:
        return np.stack([predict.video(features[i]["features"]) for i in range(len(features))])
    batches = feature_batches(features, run.config.detect.batch_size)
    return np.concatenate([predict(batch)[:count] for batch, count in batches])
