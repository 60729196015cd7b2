"""Stage 1: the encoder learns to classify trimmed clips (ACP), as encoders for TAL usually do."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from lofi_jax.config import full_fidelity
from lofi_jax.data import clips
from lofi_jax.stages import datasets
from lofi_jax.stages.setup import (
    Run,
    feature_width,
    initial_encoder,
    load_encoder,
    make_encoder,
    steps_for,
)
from lofi_jax.training import loop, optimizer
from lofi_jax.training.step import initial_state, make_step


def checkpoint_folder(run: Run):
    """Where the pretrained encoder lies."""
    return run.config.encoder_checkpoint or run.workdir / "pretrain" / "checkpoints"


def run(run: Run) -> None:
    """Trains encoder and a linear layer by cross-entropy, BatchNorm on the batch's statistics."""
    config, settings = run.config, run.config.pretrain
    if config.encoder_checkpoint:
        load_encoder(config.encoder_checkpoint)
        print(f"pretrain: not needed, the encoder comes from {config.encoder_checkpoint}")
        return
    source = datasets.source(run)
    steps = steps_for(settings.epochs, len(source.records), settings.batch_size)
    folder = run.workdir / "pretrain"
    if loop.is_finished(folder, steps):
        return
    encoder, classifier = make_encoder(config), nn.Dense(len(source.classes))

    def loss(params, statistics, batch, key):
        variables = {"params": params["encoder"], "batch_stats": statistics}
        features, new = encoder.apply(variables, batch["frames"], train=True, mutable="batch_stats")
        logits = classifier.apply({"params": params["classifier"]}, features)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()
        accuracy = jnp.mean(logits.argmax(axis=1) == batch["label"])
        return entropy, ({"accuracy": accuracy}, new["batch_stats"])

    keys = jax.random.split(jax.random.key(config.seed))
    variables = initial_encoder(config, keys[0])
    params = {
        "encoder": variables["params"],
        "classifier": classifier.init(keys[1], jnp.zeros((1, feature_width(config))))["params"],
    }
    steps_per_epoch = max(len(source.records) // settings.batch_size, 1)
    schedule = optimizer.learning_rate(settings.optimizer, steps, steps_per_epoch)
    transform = optimizer.make(settings.optimizer, schedule)
    transformation = clips.ForegroundSnippet(
        full_fidelity(config),
        config.data.frames,
        clips.Augmentation(tuple(config.data.crop_area), config.data.flip),
        config.seed,
    )
    batches = clips.training_batches(
        source.records, transformation, settings.batch_size, config.seed, config.data.workers
    )
    loop.train(
        "pretrain",
        folder,
        initial_state(params, variables["batch_stats"], transform),
        make_step(loss, transform, config.seed),
        batches,
        steps,
        run.mesh,
        run.logging,
        schedule,
    )
