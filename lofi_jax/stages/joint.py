"""Stage 2, LoFi: train encoder and head end to end at low fidelity (paper, section 3.2).

The loss is the head's TAL loss. The encoder starts from stage 1 with frozen BatchNorm statistics,
the head from scratch.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array

from lofi_jax.data.loader.clips import Transformation
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.data.record import Record
from lofi_jax.devices import shared_programs
from lofi_jax.models.protocols import Encoder, Head
from lofi_jax.stages.train import Task, train
from lofi_jax.training import optimizer
from lofi_jax.training.networks import (
    Chunks,
    apply_heads,
    encode_videos,
    feature_width,
    initial_variables,
    sample_keys,
    with_adapters,
)
from lofi_jax.training.recipe import Recipe
from lofi_jax.training.session import Session
from lofi_jax.training.sharding import make_mesh
from lofi_jax.training.step import Loss, TrainState, Tree, initial_state, make_step


@dataclasses.dataclass(frozen=True)
class Networks:
    """An encoder and a head that train together.

    Attributes:
        encoder, head: the modules.
        dtype: of the head's computation; the encoder's is its own.
        chunks: how much a device holds in memory at once.
    """

    encoder: Encoder
    head: Head
    dtype: str = "float32"
    chunks: Chunks = Chunks()


@dataclasses.dataclass(frozen=True, eq=False)
class Videos:
    """The training data of stage 2.

    Attributes:
        records: whole videos, or windows of them.
        transformation: maps a record to its "frames" (L, T, H, W, 3), at the fidelity for its index
            in the stream, and its instances.
        shape: (L, T, H, W, 3) of the full fidelity.
    """

    records: RandomAccess[Record]
    transformation: Transformation
    shape: tuple[int, int, int, int, int]


def run(
    name: str,
    networks: Networks,
    variables: dict[str, Any],
    videos: Videos,
    recipe: Recipe,
    encoder_scale: float,
    folder: pathlib.Path,
    session: Session,
) -> None:
    """Trains at the fidelities that the videos come in.

    Args:
        name: shown to the user.
        variables: the encoder's, to start from.
        encoder_scale: the encoder's learning rate over the head's.
    """
    task = Task(
        name,
        videos.records,
        videos.transformation,
        lambda: initial(networks, variables, videos.shape, session.seed),
        make_loss(networks, session.mesh),
        functools.partial(optimizer.make, encoder_scale=encoder_scale),
    )
    train(task, recipe, folder, session)


def make_loss(networks: Networks, mesh: Mesh) -> Loss:
    """The loss of the joint step.

    It balances its terms over the whole batch. So microbatches end in the head's outputs, which are
    small, and one loss sees them all.
    """
    head, chunks = networks.head, networks.chunks
    encode = encode_videos(networks.encoder, mesh, chunks)
    apply = apply_heads(head, networks.dtype, mesh, chunks.microbatches)

    def loss(params, batch_stats, batch, key):
        variables = {"params": params["encoder"], "batch_stats": batch_stats}
        frames = batch["frames"]
        keys = sample_keys(networks.encoder, jax.random.fold_in(key, 2), len(frames))
        outputs = apply(params["head"], encode(variables, frames, keys), key)
        total, terms = head.loss(outputs, batch, key)
        return total, (terms, batch_stats)

    return loss


def begin(
    networks: Networks,
    shape: tuple[int, int, int, int, int],
    optimizer: optax.GradientTransformation,
    variables: dict[str, Any] | None = None,
    seed: int = 0,
) -> tuple[TrainState, Callable[[TrainState, Mapping[str, Array]], tuple[TrainState, dict]]]:
    """Joint training on your own arrays, on one device: an initial state and the jitted step.

    >>> from lofi_jax.models import BMN, TSM
    >>> networks = Networks(TSM(stage_sizes=(1,), widths=(8,), stem="small"), BMN(8, (8, 8), 2))
    >>> annotated = {"segments": np.array([[[0.2, 0.6]]]), "valid": np.array([[True]])}
    >>> state, step = begin(networks, (4, 2, 8, 8, 3), optax.sgd(0.1))
    >>> state, terms = step(state, {"frames": np.zeros((1, 4, 2, 8, 8, 3), np.uint8), **annotated})
    >>> sorted(terms), int(state.step)
    (['classification', 'end', 'loss', 'regression', 'start'], 1)

    Args:
        networks: the encoder and the head.
        shape: (L, T, H, W, 3) of a video at full fidelity; a batch may have a lower one, for which
            the step is compiled again.
        optimizer: of the parameters {"encoder", "head"}.
        variables: the encoder's, to start from; default: fresh ones.
        seed: of fresh parameters and of each step's random numbers.

    Returns:
        The state, and a function (state, batch) -> (new state, {"loss": ..., its terms}), which
        donates the old state. A batch holds "frames" (B, L, T, H, W, 3) uint8, and what `Head.loss`
        asks for.
    """
    if variables is None:
        variables = initial_variables(networks.encoder, shape[1:], jax.random.key(seed))
    mesh = make_mesh(1, 1, jax.local_devices()[:1])
    params, batch_stats = initial(networks, variables, shape, seed)
    step = make_step(make_loss(networks, mesh), optimizer, seed)
    return initial_state(params, batch_stats, optimizer), jax.jit(step, donate_argnums=0)


def initial(
    networks: Networks,
    variables: dict[str, Any],
    shape: tuple[int, int, int, int, int],
    seed: int,
) -> tuple[Tree, Tree]:
    """The initial parameters {"encoder", "head"}, and the encoder's batch_stats.

    Args:
        variables: the encoder's; without adapters, fresh ones are added.
        shape: (L, T, H, W, 3) of the full fidelity.
    """
    key, encoder = jax.random.key(seed), networks.encoder
    features = jnp.zeros((1, shape[0], feature_width(encoder, shape[1:])))
    made = shared_programs.initial(networks.head.init, key, features)
    started = with_adapters(encoder, variables, shape[1:], jax.random.fold_in(key, 1))
    return {"encoder": started["params"], "head": made["params"]}, started["batch_stats"]
