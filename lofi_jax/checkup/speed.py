"""Decoding beside the device."""

from collections.abc import Iterator

from lofi_jax.checkup.finding import Finding, Severity


def check(
    decoded: float, cores: int, consumed: float, streaming: bool, frames: int
) -> Iterator[Finding]:
    """Compares how fast frames are read and used.

    Args:
        decoded: frames a second and core, as training reads them.
        cores: that can decode.
        consumed: frames a second that the devices' joint step uses.
        streaming: whether they are decoded from the video files.
        frames: that joint training reads in all.
    """
    supply = decoded * cores
    if supply >= consumed:
        return
    hours = frames / max(supply, 1e-9) / 3600
    yield Finding(
        Severity.WARNING if streaming else Severity.NOTE,
        f"{cores} cores decode {supply:.0f} frames a second and the devices use {consumed:.0f}:"
        f" they wait, and joint training takes about {hours:.1f} h",
        "prepare the videos (config.data.streaming=False), which reads several times faster"
        if streaming
        else "store smaller frames (config.data.short_side), or use a machine with more cores",
    )
