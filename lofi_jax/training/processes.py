"""Several processes that train as one, each on its own devices.

Every process runs the same program on the same workdir, which all must see. They train together,
share out independent work, and leave what only one may do, such as writing a table, to the first.
Where one ends or stalls, the others end too: see lost.py.
"""

import os
import pathlib
import sys

import jax
from jax.experimental import multihost_utils

from lofi_jax.errors import UsageError, UserError, one_line
from lofi_jax.files import read_own_json, write_json
from lofi_jax.training import lost


def start(address: str) -> None:
    """Joins the other processes. Must run before JAX is used.

    Args:
        address: "HOST:PORT,COUNT,INDEX": where the first process listens, their number, and this
            one's index; "auto": as a cluster that JAX knows (SLURM, Open MPI, Kubernetes, TPU pods)
            says; "": "auto" if the environment indicates several processes, otherwise a single
            process.

    Raises:
        UserError: a malformed address, or they do not find each other.
    """
    if not address and not _in_cluster():
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    given = (None, None, None) if address in ("", "auto") else _parse(address)
    try:
        jax.distributed.initialize(*given)
    except Exception as error:  # of JAX, gRPC or a cluster
        raise UserError(
            f"--distributed={address}: the processes do not find each other"
            f" ({one_line(str(error))})"
        ) from error


def end_with_the_others(folder: pathlib.Path) -> None:
    """From now on this process ends in one line if another one does; see lost.py.

    Args:
        folder: gets processes/INDEX.log, with what JAX tells its developers, where there are
            several processes.
    """
    index, count = place()
    if count > 1:
        log = folder / "processes" / f"{index}.log"
        lost.end_in_one_line(f"process {index} of {count}", log)


def _in_cluster() -> bool:
    """Whether the environment indicates several processes."""
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
        if not (name and 1 <= int(port) <= 65535 and 0 <= int(index) < int(count)):
            raise ValueError
        return host, int(count), int(index)
    except ValueError:
        raise UsageError(
            f"--distributed={address}: write auto, or HOST:PORT,COUNT,INDEX with PORT from 1 to"
            " 65535 and INDEX from 0 to COUNT - 1"
        ) from None


def silence_others() -> None:
    """Silences all processes but the first."""
    if not is_first():
        sys.stdout = open(os.devnull, "w")


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return jax.process_index() == 0


def place() -> tuple[int, int]:
    """This process's index, and how many there are."""
    return jax.process_index(), jax.process_count()


def wait(name: str) -> None:
    """Waits until every process has reached this call.

    Args:
        name: the same in every process.
    """
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def agree(answer: bool) -> bool:
    """The first process's answer, in every process. All must call it, and it waits, so call it
    rarely.
    """
    if jax.process_count() == 1:
        return answer
    return bool(multihost_utils.broadcast_one_to_all(answer))


def collect(path: pathlib.Path, own: dict) -> dict:
    """All processes' entries in the first process; in the others their own.

    Args:
        path: of the file this is for; the processes' parts are briefly stored beside it.
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
