"""Several processes that train as one, each on its own devices: how they start, and who does what.

Every process runs the same program on the same workdir, which all must see. Trainings are done together; what needs no
other process is shared out; what only one may do, such as writing a table, is the first one's.
"""

import os
import pathlib
import sys

import jax
from jax.experimental import multihost_utils

from lofi_jax.errors import UserError
from lofi_jax.files import read_own_json, write_json


def start(address: str) -> None:
    """Joins the other processes. Must run before JAX is used.

    Args:
        address: "HOST:PORT,COUNT,INDEX", where the first process listens, how many there are and which one this is;
            "auto", where a cluster that JAX knows (SLURM, Open MPI, Kubernetes, TPU pods) says it; or "", which is
            "auto" where the environment speaks of several processes and else means that there is only one.

    Raises:
        UserError: an address of another form.
    """
    if not address and not _in_cluster():
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if address not in ("", "auto"):
        jax.distributed.initialize(*_parse(address))
    else:
        jax.distributed.initialize()


def _in_cluster() -> bool:
    """Whether the environment speaks of several processes."""
    counts = [
        os.environ.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
    ]
    hosts = os.environ.get("TPU_WORKER_HOSTNAMES", "")
    kubernetes = {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= os.environ.keys()
    return any(int(count) > 1 for count in counts) or "," in hosts or kubernetes


def _parse(address: str) -> tuple[str, int, int]:
    try:
        host, count, index = address.split(",")
        name, port = host.rsplit(":", 1)
        if not (name and int(port) and 0 <= int(index) < int(count)):
            raise ValueError
        return host, int(count), int(index)
    except ValueError:
        raise UserError(
            f"--distributed={address}: write auto, or HOST:PORT,COUNT,INDEX with INDEX from 0 to COUNT - 1"
        ) from None


def silence_others() -> None:
    """Leaves speaking to the first process."""
    if not is_first():
        sys.stdout = open(os.devnull, "w")


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return jax.process_index() == 0


def place() -> tuple[int, int]:
    """This process's index, and how many there are."""
    return jax.process_index(), jax.process_count()


def wait(name: str) -> None:
    """Waits until every process is here.

    Args:
        name: the same in every process.
    """
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def agree(answer: bool) -> bool:
    """The first process's answer, in every process; all must ask. It waits for the others, so ask seldom."""
    if jax.process_count() == 1:
        return answer
    return bool(multihost_utils.broadcast_one_to_all(answer))


def collect(path: pathlib.Path, own: dict) -> dict:
    """What all processes have found, in the first one; in the others their own.

    Args:
        path: of the file this is for; the processes' parts lie beside it for a moment.
        own: this process's entries, which JSON can hold.
    """
    index, count = place()
    if count == 1:
        return own

    def part(i):
        return path.with_name(f".{path.name}.part{i}")

    write_json(part(index), own)
    wait(f"{path.name}: found")
    if not is_first():
        return own
    parts = [part(i) for i in range(count)]
    found = [read_own_json(p) for p in parts]
    for p in parts:
        p.unlink()
    return {key: value for entries in found for key, value in entries.items()}
