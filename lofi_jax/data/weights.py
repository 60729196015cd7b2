"""Public checkpoints: the arrays in a file, and where each belongs among our variables.

A layout says that, one public key at a time: (key, array) -> (path, array), the path joined by dots and the array with
its axes in our order. A key without a place gets a path that no model has. To read a further kind of checkpoint, write
its layout; a head whose arrays need more than new names (`renamed`) is a function of its own.
"""

import argparse
import dataclasses
import pathlib
import re
import warnings
from collections.abc import Callable, Mapping

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lofi_jax.data.annotations import first
from lofi_jax.errors import UserError

Layout = Callable[[str, np.ndarray], tuple[str, np.ndarray]]

# What a checkpoint may hold that no encoder wants.
_IGNORED = {
    "a classification layer": re.compile(r"^(module\.)?(base_model\.)?(fc\d?|new_fc|cls_head)\."),
    "counts of batches": re.compile(r"\.num_batches_tracked$"),
}


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The named arrays of a .safetensors file or of a PyTorch checkpoint (.pth, .pt, .tar), code in it never run.

    In a PyTorch checkpoint they may lie below "state_dict" or "model". Floating point becomes float32.

    Raises:
        UserError: no such file, damaged, no checkpoint, one that asks for code to be run, or PyTorch is not installed.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged, or no safetensors file ({error})") from error
    # NumPy knows no bfloat16: it counts as void.
    return {k: v if v.dtype.kind in "iub" else v.astype(np.float32) for k, v in arrays.items()}


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path}: reading it needs PyTorch: pip install 'lofi_jax[torch]', or give a .safetensors file"
        ) from error

    def to_numpy(tensor):
        return (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy()

    try:
        # TSP's files hold their training's options, in a class that is only a bag of values.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
        for key in ("state_dict", "model"):
            if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
                content = content[key]
        tensors = content if isinstance(content, Mapping) else {}
        arrays = {str(k): to_numpy(v) for k, v in tensors.items() if isinstance(v, torch.Tensor)}
    except Exception as error:  # What damaged bytes lead to has no one type.
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked:
            raise UserError(
                f"{path}: holds {asked[1]}, and loading that could run code, so it is refused: if you trust the file,"
                " save its state_dict alone with torch.save and convert that"
            ) from error
        raise UserError(
            f"{path}: damaged, or no PyTorch checkpoint ({type(error).__name__})"
        ) from error
    if not arrays:
        raise UserError(f"{path}: holds no weights by name, at its top or in state_dict or model")
    return arrays


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
    "the TSM authors'": renamed((r"^base_model\.", ""), (r"\.net\.", "."), *_RESNET),
    "mmaction2's ResNet": renamed(
        (r"^backbone\.", ""),
        (r"\.net\.", "."),
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
        arrays: of `read`.
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
            wrong.append(f"{key} with values that are no finite floating-point numbers")
        else:
            variables[path] = np.ascontiguousarray(array).reshape(shapes[path])
    missing = [path for path in shapes if path not in variables]
    problems = [
        f"{len(names)} {what} ({first(names)})"
        for what, names in (
            ("without a place in it", homeless),
            ("missing", missing),
            ("of a wrong kind", wrong),
        )
        if names
    ]
    return Fit(name, variables, used, {k: v for k, v in ignored.items() if v}, problems)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
