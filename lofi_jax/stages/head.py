"""Stage 3: a fresh head from scratch on the frozen encoder's full-fidelity features."""

import json
import pathlib

import jax
import jax.numpy as jnp

from lofi_jax.data import clips
from lofi_jax.errors import UserError
from lofi_jax.rows import Row
from lofi_jax.stages import datasets, extract
from lofi_jax.stages.setup import Run, apply_heads, make_head, steps_for
from lofi_jax.training import loop, optimizer, processes
from lofi_jax.training.step import initial_state, make_step


def folder(run: Run, row: Row) -> pathlib.Path:
    """Where a row's head lies."""
    return run.workdir / "heads" / row.name


def checkpoint(run: Run, row: Row) -> pathlib.Path:
    """The checkpoints of a row's head: its training's own, or the one the config names in its place."""
    return pathlib.Path(run.config.head_checkpoint or folder(run, row) / "checkpoints")


def run(run: Run, row: Row) -> None:
    """Trains the head under its own loss; the seed and all settings are the same for every encoder."""
    config, settings = run.config, run.config.head_training
    if config.head_checkpoint:
        print(f"head ({row.name}): not needed, it comes from {config.head_checkpoint}")
        return
    steps = steps_for(settings.epochs, datasets.target(run).training_examples, settings.batch_size)
    claim(run, folder(run, row), row.encoder)
    if loop.is_finished(folder(run, row), steps):
        return
    head = make_head(config, row.head, len(datasets.target(run).classes))

    def initial(features):
        return {"head": jax.jit(head.init)(jax.random.key(config.seed), features)["params"]}

    videos = extract.training_examples(run, row.encoder, settings.standardise)
    name, loss = f"head ({row.name})", make_loss(run, head)
    train(run, name, folder(run, row), videos, settings, steps, initial, loss)


def make_loss(run: Run, head):
    """A head's loss on features, as `step.make_step` wants it."""
    apply = apply_heads(run, head)

    def loss(params, statistics, batch, key):
        outputs = apply(params["head"], batch["features"])
        total, terms = head.loss(outputs, batch, key)
        return total, (terms, statistics)

    return loss


def claim(run: Run, folder: pathlib.Path, encoder: str) -> None:
    """Notes in a training's folder which features it learns from.

    Raises:
        UserError: it has learned from others.
    """
    if not processes.is_first():
        return
    path, features = folder / "features.json", extract.fingerprint(run, encoder)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(features))
    if json.loads(path.read_text()) != features:
        raise UserError(
            f"{folder}: was trained on other features than those of {encoder!r} are now: delete the folder"
        )


def train(run: Run, name, folder, videos, settings, steps: int, initial, loss) -> None:
    """Trains something on videos' features.

    Args:
        videos: of `extract.training_examples`.
        initial: features (1, L, C) -> initial parameters.
        loss: as `step.make_step` wants it.
    """
    config = run.config
    steps_per_epoch = max(len(videos) // settings.batch_size, 1)
    schedule = optimizer.learning_rate(settings.optimizer, steps, steps_per_epoch)
    transform = optimizer.make(settings.optimizer, schedule)
    params = initial(jnp.asarray(videos[0]["features"][None]))
    loop.train(
        name,
        folder,
        initial_state(params, {}, transform),
        make_step(loss, transform, config.seed),
        clips.training_batches(
            videos, None, settings.batch_size, config.seed, process=processes.place()
        ),
        steps,
        run.mesh,
        run.config.mesh.parameters,
        run.logging,
        schedule,
    )
