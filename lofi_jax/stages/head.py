"""Stage 3: train a fresh head on the frozen encoder's full-fidelity features."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from lofi_jax.data.random_access import RandomAccess
from lofi_jax.devices import shared_programs
from lofi_jax.models.protocols import Head
from lofi_jax.stages.train import Task, train
from lofi_jax.training.networks import apply_heads
from lofi_jax.training.recipe import Recipe
from lofi_jax.training.session import Session
from lofi_jax.training.step import Loss, Tree


def run(
    name: str,
    head: Head,
    dtype: str,
    features: RandomAccess[Any],
    recipe: Recipe,
    folder: pathlib.Path,
    session: Session,
) -> None:
    """Trains the head under its own loss.

    Args:
        name: shown to the user.
        dtype: of the head's computation.
        features: examples of "features" (L, C) with their instances.
    """
    example = jnp.asarray(features[0]["features"][None])
    loss = make_loss(head, dtype, session.mesh)
    task = Task(name, features, None, lambda: initial(head, example, session.seed), loss)
    train(task, recipe, folder, session)


def make_loss(head: Head, dtype: str, mesh: Mesh) -> Loss:
    """The loss of a head on features."""
    apply = apply_heads(head, dtype, mesh)

    def loss(params, batch_stats, batch, key):
        outputs = apply(params["head"], batch["features"], key)
        total, terms = head.loss(outputs, batch, key)
        return total, (terms, batch_stats)

    return loss


def initial(head: Head, features: Float[Array, "1 L C"], seed: int) -> tuple[Tree, Tree]:
    """The initial parameters {"head"}, and empty batch_stats."""
    made = shared_programs.initial(head.init, jax.random.key(seed), features)
    return {"head": made["params"]}, {}
