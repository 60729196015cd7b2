"""Disk and memory."""

from collections.abc import Iterator

from lofi_jax.checkup.finding import Finding, Severity

_TIGHT = 0.8  # of what is free


def check(what: str, needed: float, free: float, remedy: str) -> Iterator[Finding]:
    """Compares what is needed with what is free.

    Args:
        what: "disk" or "memory", and where.
        needed, free: bytes.
        remedy: what lowers the need.
    """
    if needed > _TIGHT * free:
        yield Finding(
            Severity.STOP if needed > free else Severity.WARNING,
            f"{what}: about {needed / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB are free",
            remedy,
        )
