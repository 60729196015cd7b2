"""Compiled programs that are kept on disk for the next start."""

import jax


def are_sound() -> bool:
    """Whether this backend's programs run again as they did.

    A CPU's do not: of ten starts on a kept training step, four crashed and four computed other
    numbers, twice NaN (jaxlib 0.10.2, x86-64, fusion emitters on).
    """
    return jax.default_backend() != "cpu"
