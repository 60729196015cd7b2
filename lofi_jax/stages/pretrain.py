"""Stage 1: train the encoder to classify clips, or by one of the paper's other starts."""

import dataclasses
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from lofi_jax.data.loader.clips import Transformation
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.devices import shared_programs
from lofi_jax.models import windows
from lofi_jax.models.protocols import Encoder, apply
from lofi_jax.stages.train import Task, train
from lofi_jax.training.networks import feature_width, sample_keys
from lofi_jax.training.recipe import Recipe
from lofi_jax.training.session import Session
from lofi_jax.training.step import Loss, Tree


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """The training data of stage 1.

    Attributes:
        records: segments of stored clips or videos; or, of the pretext tasks, these themselves.
        classes: their number.
        transformation: maps a record to a clip, "frames" (T, H, W, 3) uint8, and its "label".
        shape: (T, H, W, 3) of a clip.
    """

    records: RandomAccess[Any]
    classes: int
    transformation: Transformation
    shape: tuple[int, int, int, int]


def run(
    start: str,
    encoder: Encoder,
    origin: dict[str, Any],
    clips: Clips,
    recipe: Recipe,
    folder: pathlib.Path,
    session: Session,
    label_smoothing: float = 0.0,
) -> None:
    """Trains the encoder and a linear layer by cross-entropy; BatchNorm uses the batch's
    statistics.

    Args:
        start: its name.
        origin: the encoder's variables to start from.
        label_smoothing: see `make_loss`.
    """
    width = feature_width(encoder, clips.shape)
    task = Task(
        f"pretrain ({start})",
        clips.records,
        clips.transformation,
        lambda: initial(origin, width, clips.classes, session.seed),
        make_loss(encoder, clips.classes, label_smoothing),
    )
    train(task, recipe, folder, session)


def make_loss(encoder: Encoder, classes: int, label_smoothing: float = 0.0) -> Loss:
    """The loss of an encoder and a linear layer that classify clips.

    Args:
        label_smoothing: part of every label that is spread evenly over the classes (Szegedy et al.,
            arXiv 1512.00567, section 7).
    """
    classifier = nn.Dense(classes)

    def loss(params, batch_stats, batch, key):
        current = {"params": params["encoder"], "batch_stats": batch_stats}
        keys = sample_keys(encoder, key, len(batch["frames"]))
        how = {"keys": keys, "train": True, "mutable": "batch_stats"}
        features, new = windows.encode_clips(encoder, current, batch["frames"], **how)
        logits = apply(classifier, params["classifier"], features)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()
        if label_smoothing:
            even = -jax.nn.log_softmax(logits).mean()
            entropy = (1 - label_smoothing) * entropy + label_smoothing * even
        accuracy = jnp.mean(logits.argmax(axis=1) == batch["label"])
        return entropy, ({"accuracy": accuracy}, new.get("batch_stats", {}))

    return loss


def initial(origin: dict[str, Any], width: int, classes: int, seed: int) -> tuple[Tree, Tree]:
    """The initial parameters {"encoder", "classifier"}, and the encoder's batch_stats.

    Args:
        origin: the encoder's variables.
        width: of its features.
    """
    key = jax.random.split(jax.random.key(seed))[1]
    made = shared_programs.initial(nn.Dense(classes).init, key, jnp.zeros((1, width)))
    return {"encoder": origin["params"], "classifier": made["params"]}, origin["batch_stats"]
