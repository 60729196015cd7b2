"""Device memory: how much there is, and the error when a step does not fit."""

import contextlib
import os
from collections.abc import Iterator

import jax

from lofi_jax.errors import UserError


class OutOfMemory(UserError):
    """A step did not fit into the device's memory."""


@contextlib.contextmanager
def naming_exhausted_memory(name: str) -> Iterator[None]:
    """Turns XLA's error into `OutOfMemory`, which names the training and the keys to change."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise OutOfMemory(
            f"{name}: a step does not fit into the device's memory: lower the batch_size of this"
            " stage, or in the joint stage config.joint.chunk"
        ) from error


def limit_gib() -> float:
    """The memory of one device that a program may use, in GiB; on the CPU, its share of the
    machine's.
    """
    device = jax.local_devices()[0]
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"] / 2**30
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine / 2**30 / jax.local_device_count()
