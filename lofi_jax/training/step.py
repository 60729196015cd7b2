"""The one jitted step that every stage trains with."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

Tree = Any
# (parameters, batch_stats, batch, key) -> (loss, (terms of the loss, new batch_stats))
Loss = Callable[[Tree, Tree, Mapping[str, Array], PRNGKeyArray], tuple[Array, tuple[dict, Tree]]]


@flax.struct.dataclass
class TrainState:
    """All that changes in training: the step, the parameters, BatchNorm's running batch_stats, the
    optimizer's state.

    Arrays, or in trees made of one what there is to say of each: its shape, or where it lies.
    """

    step: Tree
    params: Tree
    batch_stats: Tree
    opt_state: Tree


def initial_state(params: Tree, batch_stats: Tree, optimizer: optax.GradientTransformation):
    """The initial state."""
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, optimizer.init(params))


def make_step(loss: Loss, optimizer: optax.GradientTransformation, seed: int):
    """A pure function (state, batch) -> (state, terms).

    Every step's randomness comes from the seed and the step alone.
    """

    def step(state: TrainState, batch: Mapping[str, Array]):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        gradient = jax.value_and_grad(loss, has_aux=True)
        (total, (terms, batch_stats)), grads = gradient(state.params, state.batch_stats, batch, key)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = TrainState(state.step + 1, params, batch_stats, opt_state)
        return new, {"loss": total, **terms}

    return step


def jit_step(step, placement: Tree):
    """The step, jitted, its state donated. It is compiled once per batch shape, so once per
    fidelity.

    Args:
        step: of `make_step`.
        placement: the sharding of each array of the state, kept by the new state.
    """
    return jax.jit(step, donate_argnums=0, out_shardings=(placement, None))
