"""Stacked layers one by one, as public PyTorch files have them, and together again."""

import re
from collections.abc import Mapping

import numpy as np

# The stacks of equal layers of our encoders.
_STACKS = ("params.blocks",)


def apart(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's variables by path, those of each layer in a stack by themselves.

    >>> apart({"params.blocks.bias": (2, 8), "params.norm.bias": (8,)})
    {'params.blocks.0.bias': (8,), 'params.blocks.1.bias': (8,), 'params.norm.bias': (8,)}
    """
    out = {}
    for path, shape in shapes.items():
        stack = next((one for one in _STACKS if path.startswith(f"{one}.")), None)
        if stack is None:
            out[path] = shape
        else:
            rest = path.removeprefix(stack)
            out |= {f"{stack}.{i}{rest}": shape[1:] for i in range(shape[0])}
    return out


def together(variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The variables by path, each stack's layers stacked in their order."""
    out, layers = {}, {}
    for path, array in variables.items():
        found = re.match(rf"({'|'.join(map(re.escape, _STACKS))})\.(\d+)(\..*)", path)
        if found:
            layers.setdefault(found[1] + found[3], {})[int(found[2])] = array
        else:
            out[path] = array
    return out | {path: np.stack([by[i] for i in range(len(by))]) for path, by in layers.items()}
