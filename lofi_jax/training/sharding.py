"""The device mesh: videos over one axis, a video's snippets over the other; parameters replicated
or sharded.

With several processes, each provides the videos of its own devices; a video stays within one
process.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lofi_jax.errors import UsageError, UserError
from lofi_jax.models import pixel_rows

DATA, SNIPPET = "data", "snippet"
PARAMETERS = ("replicated", "sharded")


def make_mesh(data: int, snippet: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of data x snippet devices; data = -1 uses all.

    Args:
        devices: as `jax.devices` gives them; default: those at hand.

    Raises:
        UserError: the devices cannot form this mesh.
    """
    devices = jax.devices() if devices is None else devices
    shape = mesh_shape(data, snippet, len(devices), len({d.process_index for d in devices}))
    grid = np.array(devices[: math.prod(shape)]).reshape(shape)
    return Mesh(grid, (DATA, SNIPPET))


def mesh_shape(data: int, snippet: int, devices: int, processes: int) -> tuple[int, int]:
    """The sizes of a mesh's axes; see `make_mesh`.

    Args:
        devices: of all processes.
    """
    if data == -1:
        data = devices // snippet
    if data < 1 or snippet < 1 or data * snippet > devices:
        raise UsageError(
            f"requested a {data} x {snippet} mesh, but only {devices} devices are available:"
            " change config.mesh.data or config.mesh.snippet"
        )
    held = devices // processes
    if processes > 1 and (data * snippet < devices or held % snippet):
        raise UsageError(
            f"a mesh of {data} x {snippet} devices does not split evenly over {processes}"
            f" processes of {held}: config.mesh.snippet must divide a process's"
            " devices, and config.mesh.data x snippet be all of them"
        )
    return data, snippet


def local_mesh(mesh: Mesh) -> Mesh:
    """This process's part of a mesh, for work that processes do independently."""
    rows = [row for row in mesh.devices if row[0].process_index == jax.process_index()]
    return Mesh(np.array(rows), mesh.axis_names)


def replicate(tree, mesh: Mesh):
    """Replicates a tree of arrays on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def placement(tree, mesh: Mesh, parameters: str):
    """The sharding of each array of a train state: replicated, or over all devices.

    A sharded array is cut along its longest axis that the devices divide; without such an axis it
    is replicated.

    Args:
        tree: of arrays, or of their shapes.
        parameters: one of `PARAMETERS`.
    """

    def place(x):
        axes = [i for i, n in enumerate(x.shape) if n and n % mesh.size == 0]
        if parameters == "replicated" or not axes:
            return NamedSharding(mesh, PartitionSpec())
        longest = max(axes, key=lambda i: x.shape[i])
        return NamedSharding(mesh, PartitionSpec(*[None] * longest, (DATA, SNIPPET)))

    return jax.tree.map(place, tree)


def shard_batch(batch, mesh: Mesh):
    """Shards a batch over the mesh: videos over "data", and snippets of untrimmed videos over
    "snippet".

    Trimmed clips, frames (B, T, H, W, 3), are sharded over both. Frames lie on the devices as rows
    of pixels, from which `jit_step` makes frames again.

    Args:
        batch: this process's examples of it.

    Raises:
        UserError: the examples or the snippets cannot be split evenly.
    """
    # Text, such as a video's id, stays on the host.
    batch = {name: x for name, x in batch.items() if x.dtype.kind != "U"}
    processes = len({device.process_index for device in mesh.devices.flat})
    specs = _specs(batch, mesh, processes)
    return {
        name: jax.make_array_from_process_local_data(NamedSharding(mesh, specs[name]), x)
        for name, x in pixel_rows.in_batch(pixel_rows.folded, batch).items()
    }


def shard_shapes(batch, mesh: Mesh):
    """The shapes of a whole batch, each with its sharding from `shard_batch`."""
    specs = _specs(batch, mesh, 1)
    rows = jax.eval_shape(lambda x: pixel_rows.in_batch(pixel_rows.folded, x), batch)
    return {
        name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, specs[name]))
        for name, x in rows.items()
    }


def _specs(batch, mesh: Mesh, processes: int) -> dict[str, PartitionSpec]:
    """The sharding of each array of a batch, of which every process has an equal part."""
    dimensions = len(batch["frames"].shape) if "frames" in batch else 0
    examples = (DATA, SNIPPET) if dimensions == 5 else (DATA,)
    devices = math.prod(mesh.shape[axis] for axis in examples)
    for x in batch.values():
        count = x.shape[0] * processes
        if count % devices:
            raise UserError(
                f"a batch of {count} cannot be spread over {devices} devices: change the"
                " batch_size or config.mesh"
            )
    specs = dict.fromkeys(batch, PartitionSpec(examples))
    if dimensions == 6:
        snippets = batch["frames"].shape[1]
        if snippets % mesh.shape[SNIPPET]:
            raise UserError(
                f"{snippets} snippets cannot be spread over {mesh.shape[SNIPPET]} devices:"
                " change config.mesh.snippet, or the fidelity's temporal factor"
            )
        specs["frames"] = PartitionSpec(DATA, SNIPPET)
    return specs


def over_mesh(function, mesh: Mesh, *axes: str):
    """`function(parameters, x)`, in which every device computes its own shard of x and of the
    output.

    XLA can shard a plain program by itself, but then doubles the gradients of grouped convolutions
    on a mesh of two axes (seen with jax 0.10.2).

    Args:
        function: treats the entries of x along the axes independently.
        axes: of the mesh, over which x's first axes are sharded.
    """
    spread = PartitionSpec(*axes)
    return jax.shard_map(function, mesh=mesh, in_specs=(PartitionSpec(), spread), out_specs=spread)
