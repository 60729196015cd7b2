"""ActionFormer's results: its eval.py --saveonly pickles a dict of columns, one row per detection.

"video-id": a list of N ids; "t-start", "t-end", "score": (N,) floats, in seconds; "label": (N,)
ints, the classes' numbers. Source: valid_one_epoch in libs/utils/train_utils.py of
happyharrycn/actionformer_release.
"""

import io
import numbers
import os
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lofi_jax import pickles
from lofi_jax.errors import UserError
from lofi_jax.files import read_bytes, write_bytes
from lofi_jax.results.detections import Detections, by_video

# With the kinds of values that each may hold, by NumPy's letters.
_COLUMNS = {"video-id": "U", "t-start": "iuf", "t-end": "iuf", "label": "iu", "score": "iuf"}
# All that a pickled NumPy array is made with. NumPy 1 calls numpy._core numpy.core.
_ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


class _ArraysOnly(pickle.Unpickler):
    """Allows plain values and NumPy arrays, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in _ADMITTED:
            raise UserError(f"it holds {module}.{name}, which could run code, so it is refused")
        return super().find_class(module, name)


def load(path: str | os.PathLike, classes: Sequence[str]) -> dict[str, Detections]:
    """Reads such a file.

    Args:
        path: the file.
        classes: the names by number.

    Raises:
        UserError: no such file, not this form, or an entry that is no detection or of no class.
    """
    content = read_bytes(path)
    try:
        pickles.check(content)
        columns = _ArraysOnly(io.BytesIO(content)).load()
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # What damaged bytes lead to has no one type.
        raise UserError(f"{path}: damaged, or no pickle ({type(error).__name__})") from error
    if not isinstance(columns, Mapping) or any(name not in columns for name in _COLUMNS):
        raise UserError(f"{path}: not ActionFormer's results: it needs {', '.join(_COLUMNS)}")
    try:
        videos, start, end, number, score = (_column(name, columns[name]) for name in _COLUMNS)
        if len({column.shape for column in (videos, start, end, number, score)}) > 1:
            raise UserError(f"{', '.join(_COLUMNS)} are not of one length")
        for i, label in enumerate(number.tolist()):
            if label not in range(len(classes)):
                raise UserError(f"entry {i}: label {label} is none of {len(classes)} classes")
        names = [classes[int(label)] for label in number]
        return by_video(videos.tolist(), np.stack([start, end], axis=1), names, score)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _column(name: str, values: Any) -> np.ndarray:
    """A column as an array.

    Raises:
        UserError: it is none, or holds what it should not.
    """
    entries = values.tolist() if isinstance(values, np.ndarray) else values
    wanted = "names" if name == "video-id" else "numbers"
    # Lists of lists that are shared can stand for more entries than memory holds.
    if not isinstance(entries, list | tuple) or not all(
        isinstance(entry, str | numbers.Real) for entry in entries
    ):
        raise UserError(f"{name} is no column of {wanted}")
    column = np.array(entries)
    if column.size and column.dtype.kind not in _COLUMNS[name]:
        raise UserError(f"{name} is no column of {wanted} (but of {column.dtype})")
    return column


def save(path: str | os.PathLike, found: Mapping[str, Detections], classes: Sequence[str]) -> None:
    """Writes such a file, which ActionFormer's ANETdetection evaluates; a video without detections
    is not in it.

    Args:
        classes: the names by number.

    Raises:
        UserError: a label that is no class, or the file cannot be written.
    """
    number = {name: i for i, name in enumerate(classes)}
    for video, detections in found.items():
        for label in detections.labels:
            if label not in number:
                raise UserError(
                    f"{path}: video {video!r}: {label!r} is none of {len(number)} classes"
                )
    rows = [(video, d) for video, detections in found.items() for d in detections]
    columns = {
        "video-id": [video for video, _ in rows],
        "t-start": np.array([d.start for _, d in rows], np.float32),
        "t-end": np.array([d.end for _, d in rows], np.float32),
        "label": np.array([number[d.label] for _, d in rows], np.int64),
        "score": np.array([d.score for _, d in rows], np.float32),
    }
    write_bytes(path, pickle.dumps(columns))
