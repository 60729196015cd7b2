"""Stage 2, LoFi: encoder and head end to end under the head's TAL loss, at low fidelity (paper, section 3.2).

The encoder begins from stage 1 with its BatchNorm's statistics frozen; the head begins from scratch.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from lofi_jax.data.loader.clips import Transformation
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.models.protocols import Encoder, Head
from lofi_jax.stages.train import Task, train
from lofi_jax.training import optimizer
from lofi_jax.training.networks import Chunks, apply_heads, encode_videos, feature_width
from lofi_jax.training.recipe import Recipe
from lofi_jax.training.session import Session
from lofi_jax.training.step import Loss, Tree


@dataclasses.dataclass(frozen=True)
class Networks:
    """An encoder and a head that train together.

    Attributes:
        encoder, head: the modules.
        dtype: of the head's computation; the encoder's is its own.
        chunks: what a device holds in memory at once.
    """

    encoder: Encoder
    head: Head
    dtype: str = "float32"
    chunks: Chunks = Chunks()


@dataclasses.dataclass(frozen=True, eq=False)
class Videos:
    """What stage 2 learns from.

    Attributes:
        records: whole videos, or windows of them.
        transformation: makes of a record its "frames" (L, T, H, W, 3) at the fidelity of its place in the stream,
            and its instances.
        shape: (L, T, H, W, 3) of the full fidelity.
    """

    records: RandomAccess[Any]
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
    """Trains at whatever fidelities the videos come in.

    Args:
        name: what the user sees.
        variables: the encoder's, to begin from.
        encoder_scale: the encoder's learning rate as a part of the head's.
    """
    task = Task(
        name,
        videos.records,
        videos.transformation,
        lambda: initial(networks, variables, videos.shape, session.seed),
        make_loss(networks, session.mesh),
        functools.partial(optimizer.make_joint, encoder_scale=encoder_scale),
    )
    train(task, recipe, folder, session)


def make_loss(networks: Networks, mesh: Mesh) -> Loss:
    """The loss of the joint step.

    It balances its terms over the whole batch, so however many microbatches the batch is split into, these end in the
    head's outputs, which are small, and one loss sees them all.
    """
    head, chunks = networks.head, networks.chunks
    encode = encode_videos(networks.encoder, mesh, chunks)
    apply = apply_heads(head, networks.dtype, mesh, chunks.microbatches)

    def loss(params, statistics, batch, key):
        variables = {"params": params["encoder"], "batch_stats": statistics}
        outputs = apply(params["head"], encode(variables, batch["frames"]))
        total, terms = head.loss(outputs, batch, key)
        return total, (terms, statistics)

    return loss


def initial(
    networks: Networks, variables: dict[str, Any], shape: tuple[int, ...], seed: int
) -> tuple[Tree, Tree]:
    """The parameters {"encoder", "head"} to begin from, and BatchNorm's statistics.

    Args:
        variables: the encoder's.
        shape: (L, T, H, W, 3) of the full fidelity.
    """
    features = jnp.zeros((1, shape[0], feature_width(networks.encoder, shape[1:])))
    made = jax.jit(networks.head.init)(jax.random.key(seed), features)
    return {"encoder": variables["params"], "head": made["params"]}, variables["batch_stats"]
