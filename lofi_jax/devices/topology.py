"""How many devices come together, on how many hosts, and the compiler's name for that."""

from lofi_jax.devices.gpu_target import target_config
from lofi_jax.devices.table import Gpu, find
from lofi_jax.errors import UsageError

_GPUS_OF_A_HOST = 8
# The layout of a host's TPU chips.
_HOST = {1: (1, 1, 1), 4: (2, 2, 1), 8: (2, 4, 1)}


def hosts_of(name: str, count: int) -> int:
    """The fewest hosts for `count` devices; each is one JAX process.

    Raises:
        UserError: an unknown device, or a number that it does not come in.
    """
    device = find(name)
    if isinstance(device.chip, Gpu):
        if count < 1 or (count > _GPUS_OF_A_HOST and count % _GPUS_OF_A_HOST):
            raise UsageError(
                f"--devices={count}: {name} comes in 1 to {_GPUS_OF_A_HOST} on a host, and in"
                f" multiples of {_GPUS_OF_A_HOST} on several"
            )
        return -(-count // _GPUS_OF_A_HOST)
    tpu = device.chip
    if count not in tpu.shapes:
        raise UsageError(
            f"--devices={count}: {name} comes in slices of {', '.join(map(str, tpu.shapes))}"
        )
    # A slice of several hosts is made of hosts of four.
    return 1 if count <= tpu.largest_host else count // 4


def topology(name: str, count: int, hosts: int | None = None) -> dict:
    """The arguments of `jax.experimental.topologies.get_topology_desc`.

    Args:
        hosts: default: `hosts_of`; else a number that divides the devices.

    Raises:
        UserError: as `hosts_of`.
    """
    device, hosts = find(name), hosts or hosts_of(name, count)
    if isinstance(device.chip, Gpu):
        shape = f"1x{hosts}x{count // hosts}"
        asked = dict(topology_name=shape, topology=shape, target_config=target_config(device))
    else:
        asked = dict(
            topology_name=f"{device.chip.generation}:{device.chip.shapes[count]}",
            chips_per_host_bounds=_HOST[count // hosts],
            chip_config_name=device.chip.chip_config,
        )
    return {"platform": device.platform, **asked}
