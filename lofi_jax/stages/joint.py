"""Stage 2, LoFi: encoder and head end to end under the head's TAL loss, at low fidelity (paper, section 3.2).

The encoder begins from stage 1 with its BatchNorm's statistics frozen; the head begins from scratch.
"""

import jax
import jax.numpy as jnp

from lofi_jax import fidelity
from lofi_jax.config import factors, full_fidelity
from lofi_jax.data import clips
from lofi_jax.models import HEADS
from lofi_jax.rows import Row
from lofi_jax.stages import datasets, pretrain
from lofi_jax.stages.setup import Run, encode_videos, feature_width, make_head, steps_for
from lofi_jax.training import loop, optimizer
from lofi_jax.training.step import initial_state, make_step


def run(run: Run, row: Row) -> None:
    """Trains to the end of `config.joint.epochs`, at the fidelities the row's schedule gives."""
    config, settings = run.config, run.config.joint
    target = datasets.target(run)
    steps = steps_for(settings.epochs, len(target.train), settings.batch_size)
    folder = pretrain.folder(run, row.encoder)
    if loop.is_finished(folder, steps):
        return
    encode, head = encode_videos(run, settings.chunk), make_head(config, row.head)
    head_loss = HEADS[row.head].loss

    def loss(params, statistics, batch, key):
        variables = {"params": params["encoder"], "batch_stats": statistics}
        features = encode(variables, batch["frames"])
        outputs = head.apply({"params": params["head"]}, features)
        total, terms = head_loss(outputs, batch, key)
        return total, (terms, statistics)

    variables = pretrain.variables(run, settings.start)
    full = full_fidelity(config)
    features = jnp.zeros((1, full.snippets, feature_width(config)))
    params = {
        "encoder": variables["params"],
        "head": jax.jit(head.init)(jax.random.key(config.seed), features)["params"],
    }
    steps_per_epoch = max(len(target.train) // settings.batch_size, 1)
    fidelity_of_step = fidelity.schedule(row.fidelity, full, factors(config), steps_per_epoch)
    schedule = optimizer.learning_rate(settings.optimizer, steps, steps_per_epoch)
    transform = optimizer.make_joint(settings.optimizer, schedule, settings.encoder_scale)
    transformation = clips.WholeVideo(
        lambda index: fidelity_of_step(index // settings.batch_size),
        config.data.frames,
        target.most_instances,
        clips.Augmentation(tuple(config.data.crop_area), config.data.flip),
        config.seed,
    )
    batches = clips.training_batches(
        target.train, transformation, settings.batch_size, config.seed, config.data.workers
    )
    loop.train(
        f"joint ({row.fidelity}, {row.head})",
        folder,
        initial_state(params, variables["batch_stats"], transform),
        make_step(loss, transform, config.seed),
        batches,
        steps,
        run.mesh,
        run.logging,
        schedule,
    )
