"""Devices that are not there: programs can be compiled for them but not run.

JAX lowers and compiles for a mesh of them as for any other. This needs a separate process, started
with `environment`: device software that finds no device prints to stderr and may kill the process.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import topologies

from lofi_jax.devices.topology import topology

# Autotuning runs kernels on the device; without it some products have no setting at which Triton
# takes them ("Couldn't find output tile sizes", "no supported configuration": jax 0.10.2), and the
# library's are taken for all.
_WITHOUT_A_GPU: dict[str, Any] = {"xla_gpu_autotune_level": 0}
_WITHOUT_TRITON: dict[str, Any] = {"xla_gpu_enable_triton_gemm": False}


def environment(platform: str) -> dict[str, str]:
    """The environment variables of the process that compiles, needed before it imports JAX.

    Args:
        platform: "cuda" or "tpu".
    """
    absent = {
        "cuda": {"CUDA_VISIBLE_DEVICES": "-1"},
        # Several processes may compile at once, since none owns a TPU.
        "tpu": {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"},
    }
    return {"JAX_PLATFORMS": "cpu", **absent[platform]}


def devices(name: str, count: int, hosts: int | None = None) -> Sequence[Any]:
    """`count` devices that are not there, on one host or several.

    Args:
        name: in `DEVICES`.
        hosts: see `topology`.

    Raises:
        UserError: an unknown device, or a number that it does not come in.
    """
    asked = topology(name, count, hosts)
    jax.devices()  # JAX discovers its plugins with its first backend
    return topologies.get_topology_desc(**asked).devices


def compiled(lowered: jax.stages.Lowered, platform: str) -> jax.stages.Compiled:
    """Compiles a program for devices that are not there, without running anything on them.

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
