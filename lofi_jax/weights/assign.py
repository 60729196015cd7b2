"""Public checkpoints: where each of their arrays belongs among our variables.

A layout says that, one public key at a time: (key, array) -> (path, array), the path joined by dots
and the array with its axes in our order. A key without a place gets a path that no model has. The
other way, a layout tells the key that a path has in the public file, to name what is missing from
it. To read a further kind of checkpoint, write its layout.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping

import numpy as np

from lofi_jax.errors import first

# What a checkpoint may hold that no encoder or head wants.
_IGNORED = {
    "a classification layer": re.compile(
        r"^(module\.)?(base_model\.)?(fc\d?|new_fc|cls_head|head|classifier|logits)\.|^Logits/"
    ),
    "counts of batches": re.compile(r"\.num_batches_tracked$"),
    "BMN's sampling weights, which are computed": re.compile(r"^(module\.)?sample_mask$"),
    "BMN's mask of its map, which is computed": re.compile(r"^(module\.)?bm_mask$"),
    "the norm before it": re.compile(r"^(module\.|backbone\.)?fc_norm\."),
    "positions, which are computed": re.compile(r"^(module\.)?(backbone\.)?pos_embed$"),
    "V-JEPA's layers for still images, and its norms of lower blocks": re.compile(
        r"^(module\.)?(backbone\.)?(patch_embed_img\.|img_mod_embed$|norms_block\.[0-2]\.)"
    ),
}

# Where a layer's arrays belong, by PyTorch's names and by Flax's.
PYTORCH = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}
FLAX = {
    "mean": ("batch_stats", "mean"),
    "var": ("batch_stats", "var"),
    "kernel": ("params", "kernel"),
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """Layers under other names than ours.

    Attributes:
        rules: pairs of a public part of a key and ours, each replaced in turn; "#" is a number, the
            same on both sides, and "^" stands where both begin a key.
        arrange: (path, array) -> array, for arrays that need more than a new name.
        vectors: arrays of shape (1, C, 1) are vectors.
        leaves: `PYTORCH` or `FLAX`.
    """

    rules: tuple[tuple[str, str], ...]
    arrange: Callable[[str, np.ndarray], np.ndarray] = lambda path, array: array
    vectors: bool = False
    leaves: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=lambda: PYTORCH)

    def __call__(self, key: str, array: np.ndarray) -> tuple[str, np.ndarray]:
        """The array's place among our variables, and the array as it is there."""
        key = key.removeprefix("module.")
        for public, ours in self.rules:
            key = _replace(public, ours, key)
        if self.vectors and array.shape == (1, array.size, 1):
            array = array.ravel()
        layer, _, kind = key.rpartition(".")
        if kind == "weight" and array.ndim > 1:
            # (out, in, *space) -> (*space, in, out)
            collection, name, array = "params", "kernel", np.moveaxis(array, (1, 0), (-2, -1))
        else:
            collection, name = self.leaves.get(kind, ("params", kind))
        path = ".".join(filter(None, (collection, layer, name)))
        return path, self.arrange(path, array)

    def key(self, path: str) -> str:
        """The public key of one of our variables, but for what stands before all keys."""
        layer, _, kind = path.partition(".")[2].rpartition(".")
        kinds = {"kernel": "weight"} | {ours: theirs for theirs, (_, ours) in self.leaves.items()}
        key = ".".join(filter(None, (layer, kinds.get(kind, kind))))
        for public, ours in reversed(self.rules):
            key = _replace(ours, public, key)
        return key


def _replace(old: str, new: str, text: str) -> str:
    """Replaces a part of a key; see `Layout`."""
    pattern, template = _rule(old, new)
    return pattern.sub(template, text)


@functools.lru_cache(maxsize=1024)
def _rule(old: str, new: str) -> tuple[re.Pattern[str], str]:
    """A rule of a `Layout` as a regular expression and what replaces its matches."""
    numbers = iter(range(1, 10))
    template = re.sub("#", lambda _: rf"\g<{next(numbers)}>", new.removeprefix("^"))
    pattern = re.escape(old.removeprefix("^")).replace(r"\#", r"(\d+)")
    anchor = "^" if old.startswith("^") else r"(?<![A-Za-z0-9_])"
    return re.compile(anchor + pattern), template


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
        arrays: of `checkpoint_files.read`. What has no place and is known to be of no use is
            ignored.
        shapes: of the model's variables, by path. Axes of length one may differ.
        layouts: those to try, by name.
    """

    def found(name: str) -> int:
        return len({layouts[name](key, array)[0] for key, array in arrays.items()} & shapes.keys())

    name = max(layouts, key=found)
    layout, prefix = layouts[name], ""
    ignored = {reason: [] for reason in _IGNORED}
    variables, used, homeless, wrong = {}, [], [], []
    for key, array in arrays.items():
        path, array = layout(key, array)
        if path not in shapes or path in variables:
            reasons = [reason for reason, pattern in _IGNORED.items() if pattern.search(key)]
            (ignored[reasons[0]] if reasons else homeless).append(key)
            continue
        variables[path] = array
        used.append(key)
        prefix = key.removesuffix(layout.key(path))
        if _without_ones(array.shape) != _without_ones(shapes[path]):
            wrong.append(f"{key} {_size(array.shape)} instead of {_size(shapes[path])}")
        elif array.dtype != np.float32 or not np.isfinite(array).all():
            wrong.append(f"{key} holds other than finite floating-point numbers")
        else:
            variables[path] = np.ascontiguousarray(array).reshape(shapes[path])
    prefix = prefix if prefix == "module." else ""
    missing = [prefix + layout.key(path) for path in shapes if path not in variables]
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
