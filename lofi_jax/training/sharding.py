"""The device mesh: videos over one axis, one video's snippets over the other; parameters on every device."""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lofi_jax.errors import UserError

DATA, SNIPPET = "data", "snippet"


def make_mesh(data: int, snippet: int) -> Mesh:
    """A mesh of data x snippet devices; data = -1 takes all there are.

    Raises:
        UserError: the devices at hand do not make such a mesh.
    """
    devices = jax.devices()
    if data == -1:
        data = len(devices) // snippet
    if data < 1 or snippet < 1 or data * snippet > len(devices):
        raise UserError(
            f"a mesh of {data} x {snippet} devices is asked for and {len(devices)} are at hand:"
            " change config.mesh.data or config.mesh.snippet"
        )
    grid = np.array(devices[: data * snippet]).reshape(data, snippet)
    return Mesh(grid, (DATA, SNIPPET))


def replicate(tree, mesh: Mesh):
    """Puts a tree of arrays on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shard_batch(batch, mesh: Mesh):
    """Spreads a batch over the mesh: videos over "data", and the snippets of untrimmed videos' frames over "snippet".

    Raises:
        UserError: the videos or the snippets cannot be split evenly.
    """
    shape = mesh.shape

    def put(name, x):
        untrimmed = name == "frames" and x.ndim == 6
        spec = PartitionSpec(DATA, SNIPPET) if untrimmed else PartitionSpec(DATA)
        if len(x) % shape[DATA]:
            raise UserError(
                f"a batch of {len(x)} cannot be spread over {shape[DATA]} devices: change the"
                " batch_size or config.mesh.data"
            )
        if untrimmed and x.shape[1] % shape[SNIPPET]:
            raise UserError(
                f"{x.shape[1]} snippets cannot be spread over {shape[SNIPPET]} devices: change"
                " config.mesh.snippet, or the fidelity's temporal factor"
            )
        return jax.make_array_from_process_local_data(NamedSharding(mesh, spec), x)

    # Text, such as a video's id, has no place on a device.
    return {name: put(name, x) for name, x in batch.items() if x.dtype.kind != "U"}


def over_mesh(encode, mesh: Mesh):
    """`encode(variables, frames (B, L, ...)) -> (B, L, C)`, every device working on its own videos and snippets."""
    return jax.shard_map(
        encode,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(DATA, SNIPPET)),
        out_specs=PartitionSpec(DATA, SNIPPET),
    )
