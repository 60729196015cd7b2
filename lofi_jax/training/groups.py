"""Groups of parameters, which an optimizer can treat differently or leave as they are."""

from collections.abc import Collection, Sequence
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

Tree = Any

GROUPS = ("backbone", "adapters", "head")


def group_of(path: Sequence[str]) -> str:
    """The group of the parameter at a path such as ("encoder", "block1", "adapter", "kernel").

    Adapters have `adapter` in their path, the backbone is all else of an encoder, and the head is
    everything on top of it: a localization head or a classification layer.
    """
    if any("adapter" in name for name in path):
        return "adapters"
    return "backbone" if path[0] == "encoder" else "head"


def split(params: Tree, frozen: Collection[str]) -> tuple[Tree, Tree]:
    """The parameters that train, and those of the frozen groups."""
    if not frozen:
        return params, {}
    parts = {True: {}, False: {}}
    for path, x in flatten_dict(params).items():
        parts[group_of(path) in frozen][path] = x
    return unflatten_dict(parts[False]), unflatten_dict(parts[True])


def merge(part: Tree, other: Tree) -> Tree:
    """All parameters again; where both parts have one, `other`'s."""
    if not other:
        return part
    return unflatten_dict(flatten_dict(part) | flatten_dict(other))
