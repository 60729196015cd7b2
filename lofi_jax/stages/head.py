"""Stage 3: a fresh head from scratch on the frozen encoder's full-fidelity features."""

import jax
import jax.numpy as jnp

from lofi_jax.data import clips
from lofi_jax.data.features import FeatureVideos
from lofi_jax.models import HEADS
from lofi_jax.stages import datasets, extract
from lofi_jax.stages.setup import Run, feature_width, make_head, steps_for
from lofi_jax.training import loop, optimizer
from lofi_jax.training.step import initial_state, make_step


def folder(run: Run, start: str):
    """Where the head on a start's features lies."""
    return run.workdir / "head" / start


def run(run: Run, start: str) -> None:
    """Trains the head under its own loss; the seed and all settings are the same for every start."""
    config, settings = run.config, run.config.head_training
    target = datasets.target(run)
    steps = steps_for(settings.epochs, len(target.train_videos), settings.batch_size)
    if loop.is_finished(folder(run, start), steps):
        return
    head, head_loss = make_head(config), HEADS[config.head.name].loss

    def loss(params, statistics, batch, key):
        total, terms = head_loss(
            head.apply({"params": params["head"]}, batch["features"]), batch, key
        )
        return total, (terms, statistics)

    features = jnp.zeros((1, config.data.snippets, feature_width(config)))
    params = {"head": jax.jit(head.init)(jax.random.key(config.seed), features)["params"]}
    train(run, f"head ({start})", folder(run, start), start, settings, steps, params, loss)


def train(run: Run, name, folder, start: str, settings, steps: int, params, loss) -> None:
    """Trains something on the training videos' features of a start."""
    config, target = run.config, datasets.target(run)
    videos = FeatureVideos(
        extract.store(run, start), target.train_videos, target.classes, target.most_instances
    )
    steps_per_epoch = max(len(videos) // settings.batch_size, 1)
    schedule = optimizer.learning_rate(settings.optimizer, steps, steps_per_epoch)
    transform = optimizer.make(settings.optimizer, schedule)
    loop.train(
        name,
        folder,
        initial_state(params, {}, transform),
        make_step(loss, transform, config.seed),
        clips.training_batches(videos, None, settings.batch_size, config.seed),
        steps,
        run.mesh,
        run.logging,
        schedule,
    )
