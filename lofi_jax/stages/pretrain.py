"""Stage 1: the encoder learns to classify clips, as encoders for TAL usually do; and the other starts of the paper.

ICP is the encoder as it begins; ACP learns the source's action classes from there; ACP+ goes on from ACP with the
target's own foreground segments; Arrow of Time and SpeedNet learn from ICP to tell a clip's direction or speed.
"""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from lofi_jax.config import full_fidelity
from lofi_jax.data import clips, pretext, trimmed
from lofi_jax.errors import UserError
from lofi_jax.stages import clip_accuracy, datasets, parts
from lofi_jax.stages.setup import (
    Run,
    feature_width,
    initial_encoder,
    load_own_encoder,
    make_encoder,
    steps_for,
)
from lofi_jax.training import loop, optimizer, processes
from lofi_jax.training.step import initial_state, make_step

# Which encoder each one begins from.
ORIGIN = {"acp": "icp", "acp_plus": "acp", "arrow_of_time": "icp", "speednet": "icp"}


def folder(run: Run, encoder: str) -> pathlib.Path:
    """Where an encoder's training lies."""
    return run.workdir / "encoders" / encoder


def checkpoint(run: Run, encoder: str) -> pathlib.Path:
    """The checkpoints of an encoder: a training's own, or the one the config names in its place."""
    if encoder == "acp" and run.config.encoder_checkpoint:
        return pathlib.Path(run.config.encoder_checkpoint)
    return folder(run, encoder) / "checkpoints"


def run(run: Run, start: str) -> None:
    """Trains a start other than "icp", and before it the ones it begins from; finished ones are not repeated."""
    lineage = [start]
    while ORIGIN[lineage[0]] != "icp":
        lineage.insert(0, ORIGIN[lineage[0]])
    for step in lineage:
        if step == "acp" and run.config.encoder_checkpoint:
            print(f"pretrain (acp): not needed, it comes from {run.config.encoder_checkpoint}")
        else:
            _train(run, step)
            if step == "acp":
                clip_accuracy.run(run, folder(run, step), source_drawing(run))


def variables(run: Run, start: str) -> dict:
    """The variables of a start's encoder, which has been trained.

    Raises:
        UserError: it has not.
    """
    if start != "icp":
        return load_own_encoder(run.config, checkpoint(run, start))
    if run.config.initial_checkpoint:
        return load_own_encoder(run.config, run.config.initial_checkpoint)
    return initial_encoder(run.config, jax.random.split(jax.random.key(run.config.seed))[0])


def _task(run: Run, start: str):
    """The records a start learns from, the number of its classes, and what turns a record into a labelled clip."""
    config, full = run.config, full_fidelity(run.config)
    augmentation = clips.Augmentation(tuple(config.data.crop_area), config.data.flip)
    source = datasets.target_clips(run) if start == "acp_plus" else datasets.source(run)
    if start in ("acp", "acp_plus"):
        drawing = (
            source_drawing(run) if start == "acp" else _drawing(config, "snippet", config.data)
        )
        clip = trimmed.TrainingClip(full, drawing, augmentation, config.seed)
        return source.records, len(source.classes), clip
    if start == "speednet" and len(source.records[0]["frames"]) < 2 * config.data.frames:
        raise UserError(
            "speednet needs two snippets a clip of the source: set config.source.snippets to 2"
        )
    task = {"arrow_of_time": pretext.ArrowOfTime, "speednet": pretext.SpeedNet}[start]
    return source.records, 2, task(full, config.data.frames, augmentation, config.seed)


def source_drawing(run: Run) -> trimmed.Drawing:
    """How clips are drawn from the source's actions."""
    config = run.config
    return _drawing(
        config, config.source.sampling, config.source if parts.source(run) else config.data
    )


def _drawing(config, sampling: str, stored) -> trimmed.Drawing:
    return trimmed.Drawing(
        sampling, config.data.frames, config.source.stride, stored.snippets_per_second
    )


def _train(run: Run, start: str) -> None:
    """Trains encoder and a linear layer by cross-entropy, BatchNorm on the batch's statistics."""
    config = run.config
    settings = config.fine_tune if start == "acp_plus" else config.pretrain
    records, classes, transformation = _task(run, start)
    steps = steps_for(settings.epochs, len(records), settings.batch_size)
    if loop.is_finished(folder(run, start), steps):
        return
    steps_per_epoch = max(len(records) // settings.batch_size, 1)
    schedule = optimizer.learning_rate(settings.optimizer, steps, steps_per_epoch)
    origin = variables(run, ORIGIN[start])
    state, step = make_training(run, settings.optimizer, origin, classes, schedule)
    batches = clips.training_batches(
        records,
        transformation,
        settings.batch_size,
        config.seed,
        config.data.workers,
        processes.place(),
    )
    loop.train(
        f"pretrain ({start})",
        folder(run, start),
        state,
        step,
        batches,
        steps,
        run.mesh,
        run.config.mesh.parameters,
        run.logging,
        schedule,
    )


def make_training(run: Run, settings, origin: dict, classes: int, schedule):
    """The initial state of a classification training, and its step.

    Args:
        settings: of the optimizer.
        origin: variables of the encoder to begin from.
        classes: of the clips.
        schedule: the learning rate as a function of the step.
    """
    config = run.config
    encoder, classifier = make_encoder(config), nn.Dense(classes)

    def loss(params, statistics, batch, key):
        current = {"params": params["encoder"], "batch_stats": statistics}
        features, new = encoder.apply(current, batch["frames"], train=True, mutable="batch_stats")
        logits = classifier.apply({"params": params["classifier"]}, features)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()
        accuracy = jnp.mean(logits.argmax(axis=1) == batch["label"])
        return entropy, ({"accuracy": accuracy}, new["batch_stats"])

    key = jax.random.split(jax.random.key(config.seed))[1]
    features = jnp.zeros((1, feature_width(config)))
    params = {
        "encoder": origin["params"],
        "classifier": classifier.init(key, features)["params"],
    }
    transform = optimizer.make(settings, schedule)
    state = initial_state(params, origin["batch_stats"], transform)
    return state, make_step(loss, transform, config.seed)
