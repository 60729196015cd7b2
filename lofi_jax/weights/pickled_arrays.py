"""Reads the arrays of a pickle, by name. Nothing that the pickle names is ever called: for its
arrays and dtypes stand classes of our own, and whatever else it asks for is refused.
"""

import io
import math
import pathlib
import pickle
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from lofi_jax import pickles
from lofi_jax.errors import UserError
from lofi_jax.files import read_bytes

_NUMBERS = re.compile(r"[fiu][1248]|b1")
_LONGEST = 1000  # letters of an array's joined keys


class _Dtype:
    """What a pickle says of a dtype."""

    def __init__(self, name: str, align: bool = False, copy: bool = False):
        self.name, self.order = name, "|"

    def __setstate__(self, state: tuple):
        self.order = state[1]


class _Array:
    """What a pickle says of an array."""

    def __init__(self, kind: Any, shape: tuple, code: bytes):
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple):
        self.state = state

    def numbers(self) -> np.ndarray:
        """The array; raises ValueError if it is none of numbers."""
        _, shape, dtype, by_columns, content = self.state
        if not (isinstance(dtype, _Dtype) and _NUMBERS.fullmatch(dtype.name)):
            raise ValueError("an array of other things than numbers")
        values = np.frombuffer(content, np.dtype(f"{dtype.order}{dtype.name}"))
        if math.prod(shape) != values.size:
            raise ValueError("an array of another size than it says")
        return values.reshape(shape, order="F" if by_columns else "C")


_STANDS_FOR = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("flax.core.frozen_dict", "FrozenDict"): dict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _STANDS_FOR:
            raise UserError(f"{module}.{name}")
        return _STANDS_FOR[module, name]


def is_pickle(path: pathlib.Path) -> bool:
    """Whether a file is a pickle of the protocols 4 and 5. PyTorch's own are of 2."""
    with open(path, "rb") as file:
        return file.read(2) in (b"\x80\x04", b"\x80\x05")


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of numbers in nested dicts, by their keys joined by dots.

    Raises:
        UserError: the file is damaged, or holds anything else than such arrays in dicts.
    """
    content = read_bytes(path)
    try:
        pickles.check(content)
        return dict(_flat(_Unpickler(io.BytesIO(content)).load(), "", set()))
    except UserError as error:
        raise UserError(
            f"{path}: holds {error}, and loading that could run code, so it is refused: only"
            " arrays in dicts are read"
        ) from error
    except Exception as error:  # What damaged bytes lead to has no one type.
        raise UserError(
            f"{path}: damaged, or no pickle of arrays ({type(error).__name__}: {error})"
        ) from error


def _flat(tree: Any, path: str, met: set[int]) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays by their keys.

    Args:
        met: the dicts so far, by identity: of one that is there again and again, a small file could
            hold more arrays than anyone can count.
    """
    if len(path) > _LONGEST:
        raise ValueError(f"{path[:20]!r}... is a key of more than {_LONGEST} letters")
    if isinstance(tree, _Array):
        yield path, tree.numbers()
    elif isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        if id(tree) in met:
            raise ValueError(f"{path} is there twice")
        met.add(id(tree))
        for key, branch in tree.items():
            yield from _flat(branch, f"{path}.{key}" if path else key, met)
    else:
        raise ValueError(f"{path or 'the file'} is a {type(tree).__name__}")
