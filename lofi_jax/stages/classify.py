"""Class probabilities of whole videos, which give proposals their labels: our own classifier's.

For videos with several classes see classify_segments.py.
"""

import functools
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lofi_jax.data.features.padded_batches import padded_batches
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.detection.windows import Windows
from lofi_jax.devices import shared_programs
from lofi_jax.models import classifier
from lofi_jax.models.classifier import VideoClassifier
from lofi_jax.models.protocols import apply
from lofi_jax.stages.train import Task, train
from lofi_jax.training.recipe import Recipe
from lofi_jax.training.session import Session


def run(
    model: VideoClassifier,
    features: RandomAccess[Any],
    recipe: Recipe,
    folder: pathlib.Path,
    session: Session,
) -> None:
    """Trains the classifier by cross-entropy against the classes that a video contains.

    Args:
        features: examples of standardised "features" (L, C) with their instances.
    """

    def loss(params, batch_stats, batch, key):
        logits = apply(model, params["classifier"], batch["features"])
        wanted = classifier.target_distribution(batch["labels"], batch["valid"], model.classes)
        correct = jnp.take_along_axis(wanted, logits.argmax(axis=1)[:, None], axis=1) > 0
        return classifier.loss(logits, wanted), ({"accuracy": correct.mean()}, batch_stats)

    def initial():
        example = jnp.asarray(features[0]["features"][None])
        made = shared_programs.initial(model.init, jax.random.key(session.seed), example)
        return {"classifier": made["params"]}, {}

    train(Task("classifier", features, None, initial, loss), recipe, folder, session)


class Classifier:
    """Standardised features of videos in, the probability of each of `classes` out."""

    def __init__(
        self,
        classes: Sequence[str],
        model: VideoClassifier,
        params: Any,
        windows: Windows | None,
        batch_size: int,
    ):
        """Takes the classes' names, the trained classifier, how videos are cut, and windows at
        once.
        """
        self.classes, self._windows, self._batch = tuple(classes), windows, batch_size
        predict = jax.jit(lambda params, x: jax.nn.softmax(apply(model, params, x)))
        self._apply = functools.partial(predict, jax.device_put(params))

    def __call__(self, features: Float[np.ndarray, "B L C"]) -> Float[np.ndarray, "B classes"]:
        return np.asarray(self._apply(features))

    def video(self, features: Float[np.ndarray, "n C"]) -> Float[np.ndarray, " classes"]:
        """The probabilities of one video: the mean over any windows."""
        if self._windows is None:
            return self(features[None])[0]
        batches = padded_batches(self._windows.split(features), self._batch)
        return np.concatenate([self(batch)[:count] for batch, count in batches]).mean(axis=0)

    def videos(
        self, batches: Iterable[tuple[np.ndarray, int]]
    ) -> Float[np.ndarray, "videos classes"]:
        """The probabilities of many videos of one length, from batches (B, L, C) and how many of
        each are videos.
        """
        return np.concatenate([self(batch)[:count] for batch, count in batches])
