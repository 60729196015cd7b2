"""Devices that are not there, for which programs can be compiled but not run.

JAX lowers and compiles for a mesh of them as for any other. It must have been started for it, in a process of its own
(see `environment`): what of a device's software finds no device complains on stderr, and may end the process.
"""

from collections.abc import Sequence

import jax
from jax.experimental import topologies

from lofi_jax.devices.gpu_target import target_config
from lofi_jax.devices.table import Device, find
from lofi_jax.errors import UserError

_GPUS_OF_A_HOST = 8
_BOUNDS = {1: (1, 1, 1), 2: (1, 2, 1), 4: (2, 2, 1), 8: (2, 4, 1)}

# Autotuning runs kernels on the device; Triton's products of some shapes have no settings without it.
_WITHOUT_A_GPU = {"xla_gpu_autotune_level": 0}
_WITHOUT_TRITON = {"xla_gpu_enable_triton_gemm": False}


def environment(platform: str) -> dict[str, str]:
    """What must stand in the environment of the process that compiles, before it imports JAX."""
    absent = {
        "cuda": {"CUDA_VISIBLE_DEVICES": "-1"},
        # More than one process may compile at a time, as none has a TPU to itself.
        "tpu": {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"},
    }
    return {"JAX_PLATFORMS": "cpu", **absent[platform]}


def check_topology(name: str, count: int, hosts: int | None = None) -> None:
    """Looks whether so many devices can be had together, without JAX.

    Raises:
        UserError: they cannot.
    """
    _topology(name, find(name), count, hosts)


def devices(name: str, count: int, hosts: int | None = None) -> Sequence[jax.Device]:
    """So many devices that are not there, on one host or several.

    Args:
        name: in `DEVICES`.
        hosts: default: as few as hold them. Each is a process of JAX.

    Raises:
        UserError: an unknown device, or they cannot be had in this number.
    """
    device = find(name)
    found = _topology(name, device, count, hosts)
    jax.devices()  # JAX looks for its plugins with its first backend
    return topologies.get_topology_desc(platform=device.platform, **found).devices


def compiled(lowered: jax.stages.Lowered, platform: str) -> jax.stages.Compiled:
    """A program compiled for devices that are not there, without what the compiler would try on them."""
    if platform != "cuda":
        return lowered.compile()
    try:
        return lowered.compile(_WITHOUT_A_GPU)
    except jax.errors.JaxRuntimeError as error:
        if "triton" not in str(error).lower():
            raise
        return lowered.compile(_WITHOUT_A_GPU | _WITHOUT_TRITON)


def _topology(name: str, device: Device, count: int, hosts: int | None) -> dict:
    """What `jax.experimental.topologies` asks for."""
    if device.platform == "cuda":
        hosts = hosts or -(-count // _GPUS_OF_A_HOST)
        if count < 1 or count % hosts or count // hosts > _GPUS_OF_A_HOST:
            raise UserError(
                f"--devices={count}: {name} comes in 1 to {_GPUS_OF_A_HOST} on a host, and in"
                " multiples of what one host holds on several"
            )
        shape = f"1x{hosts}x{count // hosts}"
        return dict(topology_name=shape, topology=shape, target_config=target_config(device))
    tpu = device.chip
    if count not in tpu.shapes:
        raise UserError(
            f"--devices={count}: {name} comes in slices of {', '.join(map(str, tpu.shapes))}"
        )
    # A slice of several hosts is made of hosts of four.
    hosts = hosts or (1 if count <= tpu.largest_host else count // 4)
    bounds = _BOUNDS.get(count // hosts)
    if count % hosts or bounds is None or count // hosts > tpu.largest_host:
        raise UserError(f"--devices={count}: {name} does not come in so many on {hosts} hosts")
    return dict(
        topology_name=f"{tpu.generation}:{tpu.shapes[count]}",
        chips_per_host_bounds=bounds,
        chip_config_name=tpu.chip_config,
    )
