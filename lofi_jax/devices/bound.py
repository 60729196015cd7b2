"""What a device cannot do faster: the time of its arithmetic and of its memory."""

from lofi_jax.devices.table import DEVICES, Device


def known(kind: str) -> Device | None:
    """The device of this full name, where it is known."""
    return next((device for device in DEVICES.values() if device.kind == kind), None)


def seconds(device: Device, dtype: str, tflop: float, gib: float) -> float:
    """The least time in which a device does so much work, in seconds: a bound, not an estimate.

    Every product at the device's peak, and every byte once at its memory's. An algorithm of fewer products than the
    step's own, as a library's for small kernels can be, may go below it.

    Args:
        dtype: of the step.
        tflop: work, in 10^12 products and sums.
        gib: bytes moved, in GiB.
    """
    return max(tflop / device.teraflops[dtype], gib * 2**30 / (device.bandwidth * 1e9))
