"""The video-level classifier that gives proposals their labels, so that no external file is needed.

It is trained once, on the features of the first start of the config, and labels the proposals of all of them: what
the rows of the table differ in is localization alone, as in the paper, where one external classifier serves all.
"""

import jax
import jax.numpy as jnp
import numpy as np

from lofi_jax.config import names
from lofi_jax.data.features import FeatureVideos
from lofi_jax.models import classifier
from lofi_jax.stages import datasets, extract, head
from lofi_jax.stages.setup import Run, feature_width, steps_for
from lofi_jax.training import loop
from lofi_jax.training.checkpoints import load_state


def start(run: Run) -> str:
    """The start whose features the classifier sees."""
    return names(run.config.starts)[0]


def run(run: Run) -> None:
    """Trains the classifier by cross-entropy against the classes a video contains."""
    config, settings = run.config, run.config.classifier
    target = datasets.target(run)
    steps = steps_for(settings.epochs, len(target.train_videos), settings.batch_size)
    folder = run.workdir / "classifier"
    if loop.is_finished(folder, steps):
        return
    model = _model(run, target)

    def loss(params, statistics, batch, key):
        logits = model.apply({"params": params["classifier"]}, batch["features"])
        wanted = classifier.target_distribution(
            batch["labels"], batch["valid"], len(target.classes)
        )
        correct = jnp.take_along_axis(wanted, logits.argmax(axis=1)[:, None], axis=1) > 0
        return classifier.loss(logits, wanted), ({"accuracy": correct.mean()}, statistics)

    features = jnp.zeros((1, config.data.snippets, feature_width(config)))
    params = {"classifier": model.init(jax.random.key(config.seed), features)["params"]}
    head.train(run, "classifier", folder, start(run), settings, steps, params, loss)


def probabilities(run: Run, features: FeatureVideos) -> np.ndarray:
    """The classes' probabilities (videos, classes) of each of the videos, from the trained classifier."""
    model = _model(run, datasets.target(run))
    params = load_state(run.workdir / "classifier" / "checkpoints")["params"]["classifier"]
    predict = jax.jit(lambda x: jax.nn.softmax(model.apply({"params": params}, x)))
    return np.concatenate([predict(features[i]["features"][None]) for i in range(len(features))])


def _model(run: Run, target) -> classifier.VideoClassifier:
    return classifier.VideoClassifier(len(target.classes), run.config.classifier.hidden)
