"""The video-level classifier that gives proposals their labels, so that no external file is needed."""

import json

import jax
import jax.numpy as jnp
import numpy as np

from lofi_jax.models import classifier
from lofi_jax.stages import datasets, head
from lofi_jax.stages.setup import Run, feature_width, steps_for
from lofi_jax.training import loop
from lofi_jax.training.checkpoints import load_state


def folder(run: Run, start: str):
    """Where the classifier on a start's features lies."""
    return run.workdir / "classifier" / start


def run(run: Run, start: str) -> None:
    """Trains the classifier by cross-entropy against the classes that a video contains."""
    config, settings = run.config, run.config.classifier
    target = datasets.target(run)
    steps = steps_for(settings.epochs, len(target.train_videos), settings.batch_size)
    if loop.is_finished(folder(run, start), steps):
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
    folder(run, start).mkdir(parents=True, exist_ok=True)
    (folder(run, start) / "classes.json").write_text(json.dumps(target.classes))
    head.train(
        run, f"classifier ({start})", folder(run, start), start, settings, steps, params, loss
    )


class Classifier:
    """Standardised features (L, C) of a video in, the probability of each of `classes` out."""

    def __init__(self, run: Run, start: str):
        self.classes = tuple(json.loads((folder(run, start) / "classes.json").read_text()))
        model = classifier.VideoClassifier(len(self.classes), run.config.classifier.hidden)
        params = load_state(folder(run, start) / "checkpoints")["params"]["classifier"]
        self._apply = jax.jit(lambda x: jax.nn.softmax(model.apply({"params": params}, x)))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(self._apply(features[None])[0])
