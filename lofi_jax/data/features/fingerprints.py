"""Fingerprints: what an encoder's features depend on, as flat values that two runs can compare.

A fingerprint is a dict from what matters, by the name a user knows it by ("data.snippets",
"weights"), to its value.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Fingerprint = dict[str, str | int | float | bool | list | None]


def of_arrays(arrays: Mapping[str, npt.ArrayLike]) -> str:
    """A hash of names, shapes, types and values, independent of their order."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def differences(old: Mapping, new: Mapping) -> str:
    """What differs, as "data.snippets: 100, now 64; weights: 1f, now 2e"; empty where nothing
    does.
    """
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return "; ".join(f"{n}: {old.get(n, 'none')}, now {new.get(n, 'none')}" for n in names)
