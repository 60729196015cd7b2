"""Public checkpoints: where each of their arrays belongs among our variables.

A layout says that, one public key at a time: (key, array) -> (path, array), the path joined by dots and the array with
its axes in our order. A key without a place gets a path that no model has. To read a further kind of checkpoint, write
its layout; a head whose arrays need more than new names (`renamed`) is a function of its own.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np

from lofi_jax.data.annotations.activitynet import first

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

_BLOCK = (r"^layer(\d)\.(\d+)\.", r"layer\1_\2.")
_RESNET = (
    _BLOCK,
    (r"downsample\.0\.", "downsample_conv."),
    (r"downsample\.1\.", "downsample_bn."),
    (r"^", "resnet."),
)
_R2PLUS1D = (
    _BLOCK,
    (r"^stem\.4\.", "stem_bn."),
    (r"conv(\d)\.1\.", r"bn\1."),
    (r"(stem|conv\d\.0)\.0\.", r"\1.spatial."),
    (r"(stem|conv\d\.0)\.1\.", r"\1.norm."),
    (r"(stem|conv\d\.0)\.3\.", r"\1.temporal."),
    (r"conv(\d)\.0\.", r"conv\1."),
    (r"downsample\.0\.", "downsample_conv."),
    (r"downsample\.1\.", "downsample_bn."),
)

ENCODER_LAYOUTS: dict[str, Layout] = {
    "torchvision's ResNet": renamed(*_RESNET),
    "the TSM authors'": renamed((r"^base_model\.", ""), (r"conv1\.net\.", "conv1."), *_RESNET),
    "mmaction2's ResNet": renamed(
        (r"^backbone\.", ""),
        (r"conv1\.conv\.net\.", "conv1."),
        (r"conv(\d)\.conv\.", r"conv\1."),
        (r"conv(\d)\.bn\.", r"bn\1."),
        (r"downsample\.conv\.", "downsample.0."),
        (r"downsample\.bn\.", "downsample.1."),
        *_RESNET,
    ),
    "torchvision's R(2+1)D": renamed(*_R2PLUS1D),
    "TSP's R(2+1)D": renamed((r"^features\.", ""), *_R2PLUS1D),
    "mmaction2's R(2+1)D": renamed(
        (r"^backbone\.", ""),
        (r"^conv1\.conv\.", "stem."),
        (r"^conv1\.bn\.", "stem_bn."),
        _BLOCK,
        (r"conv(\d)\.conv\.", r"conv\1."),
        (r"conv(\d)\.bn\.", r"bn\1."),
        (r"downsample\.(conv|bn)\.", r"downsample_\1."),
        (r"\.conv_s\.", ".spatial."),
        (r"\.bn_s\.", ".norm."),
        (r"\.conv_t\.", ".temporal."),
    ),
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
