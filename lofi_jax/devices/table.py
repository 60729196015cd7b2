"""The devices that `plan` knows: their specifications, and what a compiler needs.

Sources. GPUs: of the V100, A100, RTX A6000, H100, H200, B200 and RTX PRO 6000 the specifications in
XLA's repository (openxla/xla, `xla/backends/gpu/target_config/specs`), of the others CUDA's own
report of the card (`deviceQuery`, `nvidia-smi`, `torch.cuda`) as its users have published it;
arithmetic and bandwidth from NVIDIA's data sheets (V100, T4, A100, A10G, RTX A6000, L4, L40S, H100,
H200, DGX B200) and architecture papers (GA102, Ada, Blackwell), for dense matrices and with sums in
float32. TPUs: arithmetic and bandwidth from cloud.google.com/tpu/docs (v4, v5e, v5p, v6e), the
memory that a program may take from the TPU compiler, which names it when it refuses one (libtpu
0.0.52).
"""

import dataclasses

from lofi_jax.errors import UsageError, there_are


@dataclasses.dataclass(frozen=True)
class Gpu:
    """What XLA's GPU compiler needs besides the `Device`.

    Attributes:
        capability: CUDA's compute capability.
        cores: streaming multiprocessors.
        clock_ghz: their highest clock, in GHz.
        l2_mib: level 2 cache, in MiB.
    """

    capability: tuple[int, int]
    cores: int
    clock_ghz: float
    l2_mib: float


@dataclasses.dataclass(frozen=True)
class Tpu:
    """What the TPU compiler needs besides the `Device`.

    Attributes:
        generation: as topologies name it.
        shapes: of the available slices, by number of chips.
        largest_host: the most chips on one host.
        chip_config: how a chip's cores form a device, if there is a choice.
    """

    generation: str
    shapes: dict[int, str]
    largest_host: int
    chip_config: str = "default"


@dataclasses.dataclass(frozen=True)
class Device:
    """One kind of device.

    Attributes:
        kind: its full name, as JAX gives it.
        memory_gib: available to a program, in GiB.
        teraflops: the most products and sums a second, in 10^12, by the dtype of a step as JAX
            computes it by default: float32 in TF32 on GPUs that have it, and as bfloat16 on TPUs;
            bfloat16 as float32 on GPUs before Ampere.
        bandwidth: of the memory, in 10^9 bytes a second.
        chip: further facts for its compiler.
    """

    kind: str
    memory_gib: float
    teraflops: dict[str, float]
    bandwidth: float
    chip: Gpu | Tpu

    @property
    def platform(self) -> str:
        """JAX's name of its platform: "cuda" or "tpu"."""
        return "cuda" if isinstance(self.chip, Gpu) else "tpu"


def _gpu(kind, memory_gib, float32, bfloat16, bandwidth, capability, cores, clock_ghz, l2_mib):
    peaks = {"float32": float32, "bfloat16": bfloat16}
    return Device(kind, memory_gib, peaks, bandwidth, Gpu(capability, cores, clock_ghz, l2_mib))


def _tpu(kind, memory_gib, bfloat16, bandwidth, *chip):
    peaks = {"float32": bfloat16, "bfloat16": bfloat16}
    return Device(kind, memory_gib, peaks, bandwidth, Tpu(*chip))


_FLAT = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4"}
_FLAT |= {32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"}
_DEEP = {1: "1x1x1", 4: "2x2x1", 8: "2x2x2", 16: "2x2x4"}
_DEEP |= {32: "2x4x4", 64: "4x4x4", 128: "4x4x8", 256: "4x8x8"}

DEVICES = {
    # kind, GiB, TFLOP/s in float32 and bfloat16, GB/s, capability, multiprocessors, GHz, MiB
    "v100": _gpu("Tesla V100-SXM2-16GB", 15.77, 15.7, 15.7, 900, (7, 0), 80, 1.53, 6),
    "t4": _gpu("Tesla T4", 14.75, 8.1, 8.1, 320, (7, 5), 40, 1.59, 4),
    "a100": _gpu("NVIDIA A100-SXM4-80GB", 79.25, 156, 312, 2039, (8, 0), 108, 1.41, 40),
    "a100-40gb": _gpu("NVIDIA A100-SXM4-40GB", 39.5, 156, 312, 1555, (8, 0), 108, 1.41, 40),
    "a10g": _gpu("NVIDIA A10G", 22.48, 35, 70, 600, (8, 6), 80, 1.71, 6),
    "a6000": _gpu("NVIDIA RTX A6000", 47.53, 77.4, 154.8, 768, (8, 6), 84, 1.8, 6),
    "rtx3090": _gpu("NVIDIA GeForce RTX 3090", 23.68, 35.6, 71, 936, (8, 6), 82, 1.695, 6),
    "rtx4090": _gpu("NVIDIA GeForce RTX 4090", 23.64, 82.6, 165.2, 1008, (8, 9), 128, 2.52, 72),
    "rtx5090": _gpu("NVIDIA GeForce RTX 5090", 31.36, 104.8, 209.5, 1792, (12, 0), 170, 2.41, 96),
    "rtxpro6000": _gpu("NVIDIA RTX PRO 6000", 95.0, 251.9, 503.8, 1792, (12, 0), 188, 2.6, 128),
    "l4": _gpu("NVIDIA L4", 21.96, 60.5, 121, 300, (8, 9), 58, 2.04, 48),
    "l40s": _gpu("NVIDIA L40S", 44.4, 183, 362, 864, (8, 9), 142, 2.52, 96),
    "h100": _gpu("NVIDIA H100 80GB HBM3", 79.11, 494.7, 989.4, 3352, (9, 0), 132, 1.98, 50),
    "h200": _gpu("NVIDIA H200", 141.0, 494.7, 989.4, 4800, (9, 0), 132, 1.98, 50),
    "b200": _gpu("NVIDIA B200", 178.36, 1125, 2250, 8000, (10, 0), 148, 1.965, 126.5),
    # kind, GiB, TFLOP/s, GB/s, generation, shapes, chips on a host
    "v4": _tpu("TPU v4", 30.75, 275, 1228, "v4", _DEEP, 4, "megacore"),
    "v5e": _tpu("TPU v5 lite", 15.75, 197, 819, "v5e", _FLAT, 8),
    "v5p": _tpu("TPU v5", 95.73, 459, 2765, "v5p", _DEEP, 4),
    "v6e": _tpu("TPU v6 lite", 31.24, 918, 1640, "v6e", _FLAT, 8),
}


def find(name: str) -> Device:
    """A device by name.

    Raises:
        UserError: no such device.
    """
    if name in DEVICES:
        return DEVICES[name]
    raise UsageError(f"--device={name}: unknown device; {there_are(name.lower(), DEVICES)}")
