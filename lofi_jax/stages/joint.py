"""Stage 2, LoFi: encoder and head end to end under the head's TAL loss, at low fidelity (paper, section 3.2).

The encoder begins from stage 1 with its BatchNorm's statistics frozen; the head begins from scratch.
"""

import jax
import jax.numpy as jnp

from lofi_jax import fidelity
from lofi_jax.config import factors, full_fidelity
from lofi_jax.config.rows import Row
from lofi_jax.data.loader import clips
from lofi_jax.run import datasets
from lofi_jax.run.workdir import (
    Run,
    apply_heads,
    encode_videos,
    feature_width,
    make_head,
    steps_for,
)
from lofi_jax.stages import pretrain
from lofi_jax.training import loop, optimizer, processes
from lofi_jax.training.step import initial_state, make_step


def run(run: Run, row: Row) -> None:
    """Trains to the end of `config.joint.epochs`, at the fidelities the row's schedule gives."""
    config, settings = run.config, run.config.joint
    target = datasets.target(run)
    examples = datasets.joint_examples(run)
    steps = steps_for(settings.epochs, len(examples), settings.batch_size)
    folder = pretrain.folder(run, row.encoder)
    if loop.is_finished(folder, steps):
        return
    encoder = pretrain.variables(run, settings.start)
    steps_per_epoch = max(len(examples) // settings.batch_size, 1)
    schedule = optimizer.learning_rate(settings.optimizer, steps, steps_per_epoch)
    state, step = make_training(run, row, encoder, len(target.classes), schedule)
    fidelity_of_step = fidelity.schedule(
        row.fidelity, full_fidelity(config), factors(config), steps_per_epoch
    )
    transformation = clips.WholeVideo(
        lambda index: fidelity_of_step(index // settings.batch_size),
        config.data.frames,
        target.most_instances,
        clips.Augmentation(tuple(config.data.crop_area), config.data.flip),
        config.seed,
    )
    batches = clips.training_batches(
        examples,
        transformation,
        settings.batch_size,
        config.seed,
        config.data.workers,
        processes.place(),
    )
    loop.train(
        f"joint ({row.fidelity}, {row.head})",
        folder,
        state,
        step,
        batches,
        steps,
        run.mesh,
        config.mesh.parameters,
        run.logging,
        schedule,
    )


def make_training(run: Run, row: Row, encoder: dict, classes: int, schedule):
    """The initial state of a row's joint training, and its step.

    The loss balances its terms over the whole batch, so however many parts the batch is worked in, the parts end in
    the head's outputs, which are small, and one loss sees them all.

    Args:
        encoder: variables to begin from.
        classes: of the target dataset.
        schedule: the learning rate as a function of the step.
    """
    config, settings = run.config, run.config.joint
    encode = encode_videos(run, settings.chunk, settings.keep, settings.accumulate)
    head = make_head(config, row.head, classes)
    apply = apply_heads(run, head, settings.accumulate)

    def loss(params, statistics, batch, key):
        variables = {"params": params["encoder"], "batch_stats": statistics}
        outputs = apply(params["head"], encode(variables, batch["frames"]))
        total, terms = head.loss(outputs, batch, key)
        return total, (terms, statistics)

    features = jnp.zeros((1, full_fidelity(config).snippets, feature_width(config)))
    params = {
        "encoder": encoder["params"],
        "head": jax.jit(head.init)(jax.random.key(config.seed), features)["params"],
    }
    transform = optimizer.make_joint(settings.optimizer, schedule, settings.encoder_scale)
    state = initial_state(params, encoder["batch_stats"], transform)
    return state, make_step(loss, transform, config.seed)
