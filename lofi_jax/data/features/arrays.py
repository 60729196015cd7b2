"""Arrays of features from files that may be damaged or hostile: their sizes are known before any
memory is taken, no code in them runs, and they lead to no other file.
"""

import math
import pathlib
import tokenize
import warnings
import zipfile
import zlib
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from lofi_jax.files import regular


@runtime_checkable
class Readable(Protocol):
    """An open file of bytes, alone or in an archive."""

    def read(self, size: int = -1, /) -> bytes: ...


# Of one video's features.
MOST_BYTES = 4_000_000_000


def read_npy(path: pathlib.Path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        OSError: no such file.
        ValueError, EOFError: not such a file, objects in it, or fewer bytes than its header says.
    """
    size = regular(path).st_size
    with path.open("rb") as file:
        return parse_npy(file, size)


def read_npz(path: pathlib.Path) -> np.ndarray:
    """The only array of an .npz file; raises as `read_npy`."""
    regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_count(len(members), [member.filename for member in members])
            with archive.open(members[0]) as file:
                return parse_npy(file, members[0].file_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ValueError(str(error)) from error


def read_h5(path: pathlib.Path) -> np.ndarray:
    """The only array of an HDF5 file; raises as `read_npy`."""
    import h5py  # an import that only these files pay for

    regular(path)
    try:
        with h5py.File(path, "r") as file:
            _check_count(len(file), list(file))
            (name,) = file
            found = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else 0
            if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
                raise ValueError(f"{name!r} is a link or a group, not an array of its own")
            _check_size(found.shape or (), found.dtype, MOST_BYTES)
            return found[...]
    except (RuntimeError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def parse_npy(file: Readable, size: int) -> np.ndarray:
    """The array of an open .npy file of `size` bytes; raises as `read_npy`."""
    version = np.lib.format.read_magic(cast(Any, file))
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an .npy file of the unknown version {version}")
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = read(cast(Any, file))
    except (SyntaxError, TypeError, tokenize.TokenError, RecursionError, MemoryError) as error:
        raise ValueError("its header cannot be read") from error
    _check_size(shape, dtype, min(size, MOST_BYTES))
    count = math.prod(shape)
    content = file.read(count * dtype.itemsize)
    if len(content) != count * dtype.itemsize:
        raise ValueError("it is cut short")
    array = np.frombuffer(content, dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def _check_count(count: int, names: list[str]) -> None:
    if count != 1:
        raise ValueError(f"{count} arrays in one file: {', '.join(names)}")


def _check_size(shape: tuple[int, ...], dtype: np.dtype, most: int) -> None:
    if dtype.kind not in "iuf":
        raise ValueError(f"it holds {dtype}, not real numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > most:
        raise ValueError(f"its header says {shape} of {dtype}, which it cannot hold")
