"""External features: one file per video, in the forms that TAL projects publish."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from lofi_jax.data import video_ids
from lofi_jax.errors import UserError


def read(folders: Sequence[str], video_id: str, snippets: int) -> np.ndarray:
    """Reads a video's features from every folder, resamples each to `snippets`, and concatenates
    their channels.

    Args:
        folders: each holds <id> or v_<id> with the ending .npy, .npz, .h5 or .csv, (length,
            channels).
        video_id: the video.
        snippets: the length wanted.

    Returns:
        (snippets, channels) float32.

    Raises:
        UserError: a file is missing, unreadable, empty, not a matrix, or holds a number that is not
            finite.
    """
    sources = [_resize(_load(_find(folder, video_id)), snippets) for folder in folders]
    return np.concatenate(sources, axis=1).astype(np.float32)


def _find(folder: str, video_id: str) -> pathlib.Path:
    for name in video_ids.possible(video_id):
        for ending in _READERS:
            path = pathlib.Path(folder.strip(), name + ending)
            if path.exists():
                return path
    raise UserError(f"{folder}: no features of video {video_id!r} ({', '.join(_READERS)})")


def _load(path: pathlib.Path) -> np.ndarray:
    try:
        features = np.asarray(_READERS[path.suffix](path), np.float64)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as features ({error})") from error
    if features.ndim != 2 or not features.size:
        raise UserError(f"{path}: features of shape {features.shape}, not (length, channels)")
    if not np.isfinite(features).all():
        raise UserError(f"{path}: holds a number that is not finite")
    return features


def _only(arrays) -> np.ndarray:
    """The one array of a file of named arrays."""
    if len(arrays) != 1:
        raise ValueError(f"{len(arrays)} arrays in one file: {', '.join(arrays)}")
    return next(iter(arrays.values()))[...]


def _read_npz(path: pathlib.Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        return _only(arrays)


def _read_h5(path: pathlib.Path) -> np.ndarray:
    import h5py  # an import that only these files pay for

    with h5py.File(path, "r") as arrays:
        return _only(arrays)


def _read_csv(path: pathlib.Path) -> np.ndarray:
    """Rows of numbers; a first line of names is passed over."""
    with path.open() as file:
        header = any(character.isalpha() and character not in "eE" for character in file.readline())
    return np.loadtxt(path, delimiter=",", skiprows=int(header), ndmin=2)


_READERS: dict[str, Callable[[pathlib.Path], np.ndarray]] = {
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".npz": _read_npz,
    ".h5": _read_h5,
    ".csv": _read_csv,
}


def _resize(features: np.ndarray, length: int) -> np.ndarray:
    """Linear interpolation between the centres of equal parts."""
    if len(features) == length:
        return features
    at = (np.arange(length) + 0.5) * len(features) / length - 0.5
    at = at.clip(0, len(features) - 1)
    before = np.floor(at).astype(int)
    after = np.minimum(before + 1, len(features) - 1)
    fraction = (at - before)[:, None]
    return features[before] * (1 - fraction) + features[after] * fraction
