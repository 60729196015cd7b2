"""The one jitted step that every stage trains with."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from lofi_jax.devices import shared_programs
from lofi_jax.errors import UserError
from lofi_jax.models import pixel_rows
from lofi_jax.training.groups import merge, split

Tree = Any
# (parameters, batch_stats, batch, key) -> (loss, (terms of the loss, new batch_stats))
Loss = Callable[[Tree, Tree, Mapping[str, Array], PRNGKeyArray], tuple[Array, tuple[dict, Tree]]]


@flax.struct.dataclass
class TrainState:
    """All that changes in training: the step, the parameters, BatchNorm's running batch_stats, the
    optimizer's state, and the running mean of the parameters that train; {} where none is kept.

    Arrays, or in trees made of one what there is to say of each: its shape, or where it lies.
    """

    step: Tree
    params: Tree
    batch_stats: Tree
    opt_state: Tree
    ema: Tree = flax.struct.field(default_factory=dict)


def initial_state(
    params: Tree,
    batch_stats: Tree,
    optimizer: optax.GradientTransformation,
    frozen: Collection[str] = (),
    ema: float = 0.0,
) -> TrainState:
    """The initial state.

    Args:
        frozen, ema: as for `make_step`.

    Raises:
        UserError: no parameter trains.
    """
    trained, _ = split(params, frozen)
    if not trained:
        raise UserError(
            "nothing is trained: every parameter is in a frozen group: give one of this stage's"
            f" optimizer ({', '.join(frozen)}) a learning_rate_scale above 0"
        )
    mean = jax.tree.map(jnp.copy, trained) if ema else {}
    opt_state = shared_programs.initial(optimizer.init, trained)
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, opt_state, mean)


def make_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    seed: int,
    frozen: Collection[str] = (),
    ema: float = 0.0,
):
    """A pure function (state, batch) -> (state, terms).

    Every step's randomness comes from the seed and the step alone.

    Args:
        frozen: groups of parameters, of `groups.GROUPS`, that stay as they are; no gradient is
            computed for them, and the optimizer holds nothing of them.
        ema: decay of the running mean of the parameters, which starts from the initial ones: mean =
            ema x mean + (1 - ema) x parameters after each step; 0: no mean.
    """

    def step(state: TrainState, batch: Mapping[str, Array]):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        trained, rest = split(state.params, frozen)

        def of_trained(trained, *others):
            return loss(merge(trained, rest), *others)

        gradient = jax.value_and_grad(of_trained, has_aux=True)
        (total, (terms, batch_stats)), grads = gradient(trained, state.batch_stats, batch, key)
        updates, opt_state = optimizer.update(grads, state.opt_state, trained)
        trained = optax.apply_updates(trained, updates)
        mean = state.ema
        if ema:
            mean = jax.tree.map(lambda old, new: ema * old + (1 - ema) * new, mean, trained)
        params = merge(trained, rest)
        new = TrainState(state.step + 1, params, batch_stats, opt_state, mean)
        return new, {"loss": total, **terms}

    return step


def jit_step(step, placement: Tree):
    """The step of batches as `shard_batch` lays them out, jitted, its state donated.

    It is compiled once per batch shape, so once per fidelity.

    Args:
        step: of `make_step`.
        placement: the sharding of each array of the state, kept by the new state.
    """

    def of_rows(state: TrainState, batch: Mapping[str, Array]):
        return step(state, pixel_rows.in_batch(pixel_rows.unfolded, batch))

    return jax.jit(of_rows, donate_argnums=0, out_shardings=(placement, None))
