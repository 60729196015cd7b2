"""The joint step of a config, as stage 2 and the planner make it."""

import optax
from jax.sharding import Mesh

from lofi_jax import config as configs
from lofi_jax.config import Config
from lofi_jax.run.networks import joint_chunks, make_encoder, make_head, snippet_shape
from lofi_jax.stages import joint
from lofi_jax.training import optimizer
from lofi_jax.training.step import TrainState, initial_state, make_step


def joint_training(config: Config, mesh: Mesh, variables: dict, classes: int, rate: float):
    """The initial `TrainState` of the config's last row at a constant learning rate, and the step.

    Args:
        variables: the encoder's.
    """
    head = make_head(config, configs.rows_of(config)[-1].head, classes)
    networks = joint.Networks(make_encoder(config), head, config.dtype, joint_chunks(config))
    schedule = optax.constant_schedule(rate)
    scale = config.joint.encoder_scale
    transform = optimizer.make(config.joint.optimizer, schedule, scale)
    frozen, ema = config.joint.optimizer.frozen, config.joint.ema
    shape = (configs.full_fidelity(config).snippets, *snippet_shape(config))
    state: TrainState = initial_state(
        *joint.initial(networks, variables, shape, config.seed), transform, frozen, ema
    )
    loss = joint.make_loss(networks, mesh)
    return state, make_step(loss, transform, config.seed, frozen, ema)
