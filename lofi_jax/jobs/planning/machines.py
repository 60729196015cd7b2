"""The machine to plan joint training for: this one, or one that is not there."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax

from lofi_jax.config import Config
from lofi_jax.devices import bound, plugins, topology
from lofi_jax.devices.table import Device, find
from lofi_jax.jobs.planning import absent, planning
from lofi_jax.training import memory
from lofi_jax.training.sharding import DATA, SNIPPET, make_mesh, mesh_shape


@dataclasses.dataclass(frozen=True)
class Machine:
    """Devices of one kind.

    Attributes:
        kind: the device's full name.
        memory_gib: of one device, available to a program.
        facts: about the device, if known.
        mesh: the sizes of the mesh's axes.
        about: the source of the figures, for the user.
        plans: makes a plan for each candidate.
    """

    kind: str
    memory_gib: float
    facts: Device | None
    mesh: Mapping[str, int]
    about: str
    plans: Callable[[Sequence[planning.Candidate]], Iterator[planning.Plan]]

    def bound(self, plan: planning.Plan) -> float | None:
        """The seconds that a step takes at least: see `bound.seconds`."""
        if self.facts is None:
            return None
        devices = self.mesh[DATA] * self.mesh[SNIPPET]
        return bound.seconds(self.facts, plan.dtype, plan.tflop / devices, plan.moved_gib)


def at_hand(config: Config) -> Machine:
    """The local devices in the config's mesh; on the CPU, a single device."""
    one = jax.default_backend() == "cpu"
    mesh = make_mesh(1, 1) if one else make_mesh(config.mesh.data, config.mesh.snippet)
    device = mesh.devices.flat[0]
    limit = memory.limit_gib()
    about = f"{mesh.size} x {device.device_kind}, {limit:.2f} GiB each: what its compiler says"
    if one:
        about = (
            "no GPU or TPU is at hand: these are the figures of XLA's CPU compiler, and"
            " --device=NAME gives another device's own"
        )

    def plans(wanted):
        return itertools.islice(planning.plans(config, mesh, wanted), 1, None, 2)

    kind = device.device_kind
    return Machine(kind, limit, bound.known(kind), mesh.shape, about, plans)


def elsewhere(config: Config, name: str, count: int) -> Machine:
    """`count` devices that are not there, in the config's mesh.

    Raises:
        UserError: an unknown device, or one that does not come in this number, or makes no such
            mesh; its compiler is missing, or of another version.
    """
    device, hosts = find(name), topology.hosts_of(name, count)
    shape = mesh_shape(config.mesh.data, config.mesh.snippet, count, hosts)
    plugins.check(device.platform)
    about = (
        f"{count} x {device.kind}, {device.memory_gib:.2f} GiB each, not at hand: what its own"
        f" compiler says (jax {jax.__version__}); nothing was run"
    )
    if device.platform == "cuda":
        about += (
            "\nof a GPU's memory JAX gives a program three quarters, unless"
            " XLA_PYTHON_CLIENT_MEM_FRACTION says another part"
        )

    def plans(wanted):
        return absent.plans(config, name, count, wanted)

    mesh: dict[str, int] = dict(zip((DATA, SNIPPET), shape, strict=True))
    return Machine(device.kind, device.memory_gib, device, mesh, about, plans)
