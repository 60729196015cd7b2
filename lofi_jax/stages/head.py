"""Stage 3: a fresh head from scratch on the frozen encoder's full-fidelity features."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from lofi_jax.data.random_access import RandomAccess
from lofi_jax.models.protocols import Head
from lofi_jax.stages.train import Task, train
from lofi_jax.training.networks import apply_heads
from lofi_jax.training.recipe import Recipe
from lofi_jax.training.session import Session


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
        name: what the user sees.
        dtype: of the head's computation.
        features: examples of "features" (L, C) with their instances.
    """
    apply = apply_heads(head, dtype, session.mesh)

    def loss(params, statistics, batch, key):
        outputs = apply(params["head"], batch["features"])
        total, terms = head.loss(outputs, batch, key)
        return total, (terms, statistics)

    def initial():
        example = jnp.asarray(features[0]["features"][None])
        return {"head": jax.jit(head.init)(jax.random.key(session.seed), example)["params"]}, {}

    train(Task(name, features, None, initial, loss), recipe, folder, session)
