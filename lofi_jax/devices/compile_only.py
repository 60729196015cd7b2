"""Devices that are not there, for which programs can be compiled but not run.

JAX lowers and compiles for a mesh of them as for any other. It must have been started for it, in a process of its own
(see `environment`): what of a device's software finds no device complains on stderr, and may end the process.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import topologies

from lofi_jax.devices.topology import topology

# Autotuning runs kernels on the device; without it some products have no setting at which Triton takes them ("Couldn't
# find output tile sizes", "no supported configuration": jax 0.10.2), and the library's are taken for all.
_WITHOUT_A_GPU: dict[str, Any] = {"xla_gpu_autotune_level": 0}
_WITHOUT_TRITON: dict[str, Any] = {"xla_gpu_enable_triton_gemm": False}


def environment(platform: str) -> dict[str, str]:
    """What must stand in the environment of the process that compiles, before it imports JAX.

    Args:
        platform: "cuda" or "tpu".
    """
    absent = {
        "cuda": {"CUDA_VISIBLE_DEVICES": "-1"},
        # More than one process may compile at a time, as none has a TPU to itself.
        "tpu": {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"},
    }
    return {"JAX_PLATFORMS": "cpu", **absent[platform]}


def devices(name: str, count: int, hosts: int | None = None) -> Sequence[Any]:
    """So many devices that are not there, on one host or several.

    Args:
        name: in `DEVICES`.
        hosts: see `topology`.

    Raises:
        UserError: an unknown device, or one that does not come in this number.
    """
    asked = topology(name, count, hosts)
    jax.devices()  # JAX looks for its plugins with its first backend
    return topologies.get_topology_desc(**asked).devices


def compiled(lowered: jax.stages.Lowered, platform: str) -> jax.stages.Compiled:
    """A program compiled for devices that are not there, without what the compiler would try on them.

    Args:
        platform: theirs.
    """
    if platform == "tpu":
        return lowered.compile()
    try:
        return lowered.compile(_WITHOUT_A_GPU)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            raise
        return lowered.compile(_WITHOUT_A_GPU | _WITHOUT_TRITON)
