"""A lower bound of a step's time: from a device's peak arithmetic and memory bandwidth."""

from lofi_jax.devices.table import DEVICES, Device


def known(kind: str) -> Device | None:
    """The device with this full name, if known."""
    return next((device for device in DEVICES.values() if device.kind == kind), None)


def seconds(device: Device, dtype: str, tflop: float, gib: float) -> float:
    """The least time in which a device can do this work, in seconds: a bound, not an estimate.

    It assumes peak arithmetic, and every byte moved once at peak bandwidth. An algorithm with fewer
    products, as a library may use for small kernels, can go below it.

    Args:
        dtype: of the step.
        tflop: work, in 10^12 products and sums.
        gib: bytes moved, in GiB.
    """
    return max(tflop / device.teraflops[dtype], gib * 2**30 / (device.bandwidth * 1e9))
