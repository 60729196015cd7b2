"""What every training stage shares: batches, optimizer, schedule and loop."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import optax

from lofi_jax.data.loader.clips import Transformation, training_batches
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.training import loop, optimizer, processes
from lofi_jax.training.loop import Training
from lofi_jax.training.recipe import Recipe
from lofi_jax.training.session import Session
from lofi_jax.training.step import Loss, Tree, initial_state, make_step


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A training task.

    Attributes:
        name: shown to the user.
        examples: the training examples, with random access.
        transformation: of an example and its index in the stream; None: examples are used as they
            are.
        initial: makes the initial parameters and batch_stats.
        loss: see `make_step`.
        transform: makes the gradient transformation from the recipe's optimizer and learning rate.
    """

    name: str
    examples: RandomAccess[Any]
    transformation: Transformation | None
    initial: Callable[[], tuple[Tree, Tree]]
    loss: Loss
    transform: Callable[..., optax.GradientTransformation] = optimizer.make


def is_finished(folder: pathlib.Path, recipe: Recipe, examples: int) -> bool:
    """Whether the folder's training has reached its last step."""
    return loop.is_finished(folder, recipe.steps(examples))


def train(task: Task, recipe: Recipe, folder: pathlib.Path, session: Session) -> None:
    """Trains to the last step, resuming from the folder's newest checkpoint if there is one."""
    steps = recipe.steps(len(task.examples))
    steps_per_epoch = recipe.steps_per_epoch(len(task.examples))
    rate = optimizer.learning_rate(recipe.optimizer, steps, steps_per_epoch)
    transform = task.transform(recipe.optimizer, rate)
    params, batch_stats = task.initial()
    frozen = recipe.optimizer.frozen
    state = initial_state(params, batch_stats, transform, frozen, recipe.ema)
    step = make_step(task.loss, transform, session.seed, frozen, recipe.ema)
    batches = training_batches(
        task.examples,
        task.transformation,
        recipe.batch_size,
        session.seed,
        session.workers if task.transformation else 0,
        processes.place(),
    )
    loop.train(Training(task.name, folder, state, step, steps, rate), batches, session)
