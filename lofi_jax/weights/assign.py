"""Public checkpoints: where each of their arrays belongs among our variables.

A layout says that, one public key at a time: (key, array) -> (path, array), the path joined by dots and the array with
its axes in our order. A key without a place gets a path that no model has. To read a further kind of checkpoint, write
its layout; a head whose arrays need more than new names (`renamed`) is a function of its own.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np

from lofi_jax.errors import first

Layout = Callable[[str, np.ndarray], tuple[str, np.ndarray]]

# What a checkpoint may hold that no encoder or head wants.
_IGNORED = {
    "a classification layer": re.compile(r"^(module\.)?(base_model\.)?(fc\d?|new_fc|cls_head)\."),
    "counts of batches": re.compile(r"\.num_batches_tracked$"),
    "BMN's sampling weights, which are computed": re.compile(r"^(module\.)?sample_mask$"),
}


def renamed(*rules: tuple[str, str]) -> Layout:
    """A layout of PyTorch layers under other names.

    Args:
        rules: regular expressions and their replacements, each applied to the key in turn.
    """
    compiled = [(re.compile(pattern), new) for pattern, new in ((r"^module\.", ""), *rules)]

    def layout(key: str, array: np.ndarray) -> tuple[str, np.ndarray]:
        for pattern, new in compiled:
            key = pattern.sub(new, key)
        layer, _, kind = key.rpartition(".")
        if kind == "weight" and array.ndim > 1:
            # (out, in, *space) -> (*space, in, out)
            return f"params.{layer}.kernel", np.moveaxis(array, (1, 0), (-2, -1))
        collection, name = _LEAVES.get(kind, ("", kind))
        return f"{collection}.{layer}.{name}", array

    return layout


_LEAVES = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


@dataclasses.dataclass(frozen=True)
class Fit:
    """How a checkpoint's arrays fit a model.

    Attributes:
        layout: the name of the layout that finds most of the model's variables.
        variables: the model's, by path; all of them where there is no problem.
        used: the keys they came from.
        ignored: the keys left out, by what they are.
        problems: why it is no checkpoint of this model; empty where it is one.
    """

    layout: str
    variables: dict[str, np.ndarray]
    used: list[str]
    ignored: dict[str, list[str]]
    problems: list[str]


def fit(
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    layouts: Mapping[str, Layout],
) -> Fit:
    """Gives every array its place in a model.

    Args:
        arrays: of `checkpoint_files.read`.
        shapes: of the model's variables, by path. Axes of length one may differ.
        layouts: those to try, by name.
    """
    ignored = {
        reason: [key for key in arrays if pattern.search(key)]
        for reason, pattern in _IGNORED.items()
    }
    left = [key for key in arrays if not any(key in keys for keys in ignored.values())]

    def found(name: str) -> int:
        return len({layouts[name](key, arrays[key])[0] for key in left} & shapes.keys())

    name = max(layouts, key=found)
    variables, used, homeless, wrong = {}, [], [], []
    for key in left:
        path, array = layouts[name](key, arrays[key])
        if path not in shapes or path in variables:
            homeless.append(key)
            continue
        variables[path] = array
        used.append(key)
        if _without_ones(array.shape) != _without_ones(shapes[path]):
            wrong.append(f"{key} {_size(array.shape)} instead of {_size(shapes[path])}")
        elif array.dtype != np.float32 or not np.isfinite(array).all():
            wrong.append(f"{key} holds other than finite floating-point numbers")
        else:
            variables[path] = np.ascontiguousarray(array).reshape(shapes[path])
    missing = [path for path in shapes if path not in variables]
    problems = [
        f"{what}: {len(names)} ({first(names)})"
        for what, names in (("without a place", homeless), ("missing", missing), ("unfit", wrong))
        if names
    ]
    return Fit(name, variables, used, {k: v for k, v in ignored.items() if v}, problems)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
