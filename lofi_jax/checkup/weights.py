"""Weights that were not loaded, or not learned."""

from collections.abc import Iterator, Mapping

import numpy as np

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.errors import first


def check(
    path: str, loaded: Mapping[str, np.ndarray], fresh: Mapping[str, np.ndarray]
) -> Iterator[Finding]:
    """Looks for layers that a checkpoint left as they were made.

    Args:
        path: of the checkpoint.
        loaded: its variables by path, such as "params.conv1.kernel".
        fresh: those of the same encoder before any training.
    """
    strange = [name for name, x in loaded.items() if not np.isfinite(x).all()]
    if strange:
        yield Finding(
            Severity.STOP,
            f"{path}: {len(strange)} arrays hold values that are no numbers: {first(strange)}",
            "convert or train the checkpoint again",
        )
    kernels = [name for name in loaded if name.endswith("kernel")]
    untouched = [
        name
        for name in kernels
        if name in fresh
        and fresh[name].shape == loaded[name].shape
        and (np.array_equal(fresh[name], loaded[name]) or np.ptp(loaded[name]) == 0)
    ]
    if untouched:
        yield Finding(
            Severity.STOP if len(untouched) == len(kernels) else Severity.WARNING,
            f"{path}: {len(untouched)} of {len(kernels)} layers are as they were made or constant:"
            f" {first(untouched)}",
            "look at what python -m lofi_jax.convert printed, and name the right --encoder",
        )
