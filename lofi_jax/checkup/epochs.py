"""Trainings that are only a few steps."""

from collections.abc import Iterator

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.training.recipe import Recipe

_STEPS = 100  # of a whole training
_PER_EPOCH = 4


def check(name: str, recipe: Recipe, examples: int) -> Iterator[Finding]:
    """Counts a training's steps.

    Args:
        name: of the training's part of the config.
        examples: it sees in an epoch.
    """
    steps = recipe.steps(examples)
    if examples < recipe.batch_size:
        yield Finding(
            Severity.WARNING,
            f"{name}: a batch of {recipe.batch_size} is more than the {examples} training"
            f" examples, so each batch repeats some; {steps} steps in all",
            f"set config.{name}.batch_size={max(1, examples // _PER_EPOCH)}",
        )
    elif steps < _STEPS:
        wanted = max(1, round(recipe.epochs * _STEPS / steps))
        yield Finding(
            Severity.WARNING,
            f"{name}: {recipe.epochs:g} epochs of {examples} examples are {steps} steps, which"
            " teach little",
            f"set config.{name}.epochs={wanted}, or a smaller config.{name}.batch_size",
        )
    elif recipe.steps_per_epoch(examples) < _PER_EPOCH:
        yield Finding(
            Severity.NOTE,
            f"{name}: an epoch is {recipe.steps_per_epoch(examples)} steps, and schedules go by"
            " epochs",
            f"set a smaller config.{name}.batch_size if the loss jumps",
        )
