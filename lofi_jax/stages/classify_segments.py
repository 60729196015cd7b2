"""Class probabilities of segments, which give proposals their labels where videos hold several
classes.
"""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from lofi_jax.data.random_access import RandomAccess
from lofi_jax.detection import segment_samples
from lofi_jax.detection.windows import Windows, shown
from lofi_jax.devices import shared_programs
from lofi_jax.devices.shared_programs import shared
from lofi_jax.models.protocols import apply
from lofi_jax.models.segment_classifier import SegmentClassifier
from lofi_jax.stages.train import Task, train
from lofi_jax.training.recipe import Recipe
from lofi_jax.training.session import Session
from lofi_jax.training.step import Loss


def run(
    model: SegmentClassifier,
    features: RandomAccess[Any],
    recipe: Recipe,
    folder: pathlib.Path,
    session: Session,
) -> None:
    """Trains the classifier by cross-entropy on annotated, jittered and random segments.

    Args:
        features: examples of standardised "features" (L, C) with their instances.
    """

    def initial():
        example = jnp.asarray(features[0]["features"][None])
        key = jax.random.key(session.seed)
        made = shared_programs.initial(model.init, key, example, jnp.zeros((1, 1, 2)))
        return {"classifier": made["params"]}, {}

    loss = make_loss(model)
    train(Task("classifier of segments", features, None, initial, loss), recipe, folder, session)


def make_loss(model: SegmentClassifier) -> Loss:
    """The loss on a batch's segments, drawn anew in every step, and the accuracy on those that
    have a target.
    """

    def loss(params, batch_stats, batch, key):
        videos, snippets = batch["features"].shape[:2]
        draw = functools.partial(segment_samples.draw, snippets=snippets)
        keys = jax.random.split(key, videos)
        drawn, real = jax.vmap(draw)(keys, batch["segments"], batch["valid"])
        target = functools.partial(segment_samples.targets, classes=model.classes)
        wanted, known = jax.vmap(target)(drawn, batch["segments"], batch["labels"], batch["valid"])
        logits = apply(model, params["classifier"], batch["features"], drawn * snippets)
        counts = real & known
        share = counts / jnp.maximum(counts.sum(), 1)
        entropy = optax.softmax_cross_entropy(logits, wanted)
        best = logits.argmax(axis=-1)[..., None]
        correct = jnp.take_along_axis(wanted, best, axis=-1)[..., 0] > 0
        return (entropy * share).sum(), ({"accuracy": (correct * share).sum()}, batch_stats)

    return loss


class SegmentLabels:
    """Standardised features of a video and its proposals in, the probability of each of `classes`
    out.

    What is missing to one is the probability of background.
    """

    def __init__(
        self,
        classes: Sequence[str],
        model: SegmentClassifier,
        params: Any,
        windows: Windows | None,
        top_k: int,
    ):
        """Takes the classes' names, the trained classifier, how videos are cut, and the most
        proposals of a video.
        """
        self.classes, self._windows, self._most = tuple(classes), windows, top_k

        def probabilities(params, features, segments, length):
            logits = apply(model, params, features[None], segments[None], length)
            return jax.nn.softmax(logits[0])[:, :-1]

        self._apply = functools.partial(shared(jax.jit(probabilities)), jax.device_put(params))

    def __call__(
        self,
        features: Float[np.ndarray, "n C"],
        segments: Float[np.ndarray, "P 2"],
        duration: float,
    ) -> Float[np.ndarray, "P classes"]:
        """The probabilities of the proposals of one video.

        Args:
            segments: in units of the video.
            duration: of the video, in seconds.
        """
        length, in_snippets = len(features), len(features) * segments
        if self._windows:
            # Trained on windows, of which one too short repeats its last snippet.
            size = self._windows.size
            in_snippets = self._windows.rate * duration * segments
            features = features[shown(0, max(length, size), length)]
            length = len(features)
            # One program for all lengths up to a multiple of a window's.
            features = np.pad(features, ((0, -length % size), (0, 0)))
        padded = np.zeros((max(self._most, len(segments)), 2), np.float32)
        padded[: len(segments)] = in_snippets
        found = self._apply(np.asarray(features, np.float32), padded, np.float32(length))
        return np.asarray(found)[: len(segments)]
