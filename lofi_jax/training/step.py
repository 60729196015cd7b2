"""The one jitted step that every stage trains with."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

Tree = Any
# (parameters, statistics, batch, key) -> (loss, (terms of the loss, new statistics))
Loss = Callable[[Tree, Tree, Mapping[str, Array], PRNGKeyArray], tuple[Array, tuple[dict, Tree]]]


@flax.struct.dataclass
class TrainState:
    """All that changes in training: the step, the parameters, BatchNorm's statistics, the optimizer's memory.

    Arrays, or in trees made of one what there is to say of each: its shape, or where it lies.
    """

    step: Tree
    params: Tree
    statistics: Tree
    optimizer: Tree


def initial_state(params: Tree, statistics: Tree, optimizer: optax.GradientTransformation):
    """The state before the first step."""
    return TrainState(jnp.zeros((), jnp.int32), params, statistics, optimizer.init(params))


def make_step(loss: Loss, optimizer: optax.GradientTransformation, seed: int):
    """A pure function (state, batch) -> (state, terms).

    Every step's randomness comes from the seed and the step alone.
    """

    def step(state: TrainState, batch: Mapping[str, Array]):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        gradient = jax.value_and_grad(loss, has_aux=True)
        (total, (terms, statistics)), grads = gradient(state.params, state.statistics, batch, key)
        updates, memory = optimizer.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        new = TrainState(state.step + 1, params, statistics, memory)
        return new, {"loss": total, **terms}

    return step


def jit_step(step, placement: Tree):
    """The step jitted, its state donated. It is compiled once for each shape of the batch, so once for each fidelity.

    Args:
        step: of `make_step`.
        placement: the sharding of each array of the state, which the new state keeps.
    """
    return jax.jit(step, donate_argnums=0, out_shardings=(placement, None))
