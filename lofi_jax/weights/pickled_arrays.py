"""Reads the arrays of a pickle, by name. Nothing that the pickle names is ever called: for its
arrays and dtypes stand classes of our own, and whatever else it asks for is refused.
"""

import math
import pathlib
import pickle
import re
from typing import Any

import numpy as np

from lofi_jax.errors import UserError

_NUMBERS = re.compile(r"[fiu][1248]|b1")


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
    with open(path, "rb") as file:
        try:
            return dict(_flat(_Unpickler(file).load(), ""))
        except UserError as error:
            raise UserError(
                f"{path}: holds {error}, and loading that could run code, so it is refused: only"
                " arrays in dicts are read"
            ) from error
        except Exception as error:  # What damaged bytes lead to has no one type.
            raise UserError(
                f"{path}: damaged, or no pickle of arrays ({type(error).__name__}: {error})"
            ) from error


def _flat(tree: Any, path: str):
    if isinstance(tree, _Array):
        yield path, tree.numbers()
    elif isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        for key, branch in tree.items():
            yield from _flat(branch, f"{path}.{key}" if path else key)
    else:
        raise ValueError(f"{path or 'the file'} is a {type(tree).__name__}")
