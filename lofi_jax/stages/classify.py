"""The video-level classifier that gives proposals their labels, so that no external file is needed.

It sees the features of the config's first start, the encoder pretrained to classify, and labels the proposals of every
start: rows of the table differ in localization alone, as in the paper, where one external classifier serves them all.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np

from lofi_jax.config import names
from lofi_jax.models import classifier
from lofi_jax.stages import datasets, head
from lofi_jax.stages.setup import Run, feature_width, steps_for
from lofi_jax.training import loop
from lofi_jax.training.checkpoints import load_state


def start(run: Run) -> str:
    """The start whose features the classifier sees."""
    return names(run.config.starts)[0]


def folder(run: Run):
    """Where the classifier lies."""
    return run.workdir / "classifier"


def run(run: Run) -> None:
    """Trains the classifier by cross-entropy against the classes that a video contains."""
    config, settings = run.config, run.config.classifier
    target = datasets.target(run)
    steps = steps_for(settings.epochs, len(target.train_videos), settings.batch_size)
    if loop.is_finished(folder(run), steps):
        return
    classes = len(target.classes)
    model = classifier.VideoClassifier(classes, settings.hidden)

    def loss(params, statistics, batch, key):
        logits = model.apply({"params": params["classifier"]}, batch["features"])
        wanted = classifier.target_distribution(batch["labels"], batch["valid"], classes)
        correct = jnp.take_along_axis(wanted, logits.argmax(axis=1)[:, None], axis=1) > 0
        return classifier.loss(logits, wanted), ({"accuracy": correct.mean()}, statistics)

    features = jnp.zeros((1, config.data.snippets, feature_width(config)))
    params = {"classifier": model.init(jax.random.key(config.seed), features)["params"]}
    folder(run).mkdir(parents=True, exist_ok=True)
    (folder(run) / "classes.json").write_text(json.dumps(target.classes))
    head.train(run, "classifier", folder(run), start(run), settings, steps, params, loss)


class Classifier:
    """Standardised features (L, C) of a video in, the probability of each of `classes` out."""

    def __init__(self, run: Run):
        self.classes = tuple(json.loads((folder(run) / "classes.json").read_text()))
        model = classifier.VideoClassifier(len(self.classes), run.config.classifier.hidden)
        params = load_state(folder(run) / "checkpoints")["params"]["classifier"]
        self._apply = jax.jit(lambda x: jax.nn.softmax(model.apply({"params": params}, x)))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(self._apply(features[None])[0])
