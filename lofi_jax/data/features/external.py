"""External features: one file per video, in the forms that TAL projects publish."""

import pathlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from lofi_jax.data import video_ids
from lofi_jax.data.features import arrays
from lofi_jax.errors import UserError, one_line
from lofi_jax.files import read_text, safe_name


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
    for name in map(safe_name, video_ids.possible(video_id)):
        for ending in _READERS:
            path = pathlib.Path(folder.strip(), name + ending)
            if path.exists():
                return path
    raise UserError(f"{folder}: no features of video {video_id!r} ({', '.join(_READERS)})")


def _load(path: pathlib.Path) -> np.ndarray:
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused below
            features = np.asarray(_READERS[path.suffix](path), np.float64)
    except OSError as error:
        reason = one_line(error.strerror or str(error))
        raise UserError(f"{path}: cannot be read as features ({reason})") from error
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as features ({one_line(str(error))})") from error
    if features.ndim != 2 or not features.size:
        raise UserError(f"{path}: features of shape {features.shape}, not (length, channels)")
    if not (np.abs(features) <= np.finfo(np.float32).max).all():  # NaN compares as false
        raise UserError(f"{path}: holds a number that is not finite")
    return features


def _read_csv(path: pathlib.Path) -> np.ndarray:
    """Rows of numbers; a first line of names, none of them a number, is passed over."""
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    if lines and _holds_names(lines[0]):
        lines = lines[1:]
    if not lines:
        raise ValueError("it holds no numbers")
    return np.loadtxt(lines, delimiter=",", ndmin=2)


def _holds_names(line: str) -> bool:
    return any(map(str.isalpha, line)) and not any(map(_is_float, line.split(",")))


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_READERS: dict[str, Callable[[pathlib.Path], np.ndarray]] = {
    ".npy": arrays.read_npy,
    ".npz": arrays.read_npz,
    ".h5": arrays.read_h5,
    ".csv": _read_csv,
}


def _resize(features: np.ndarray, length: int) -> np.ndarray:
    """Linear interpolation between the centres of equal parts."""
    return cv2.resize(features, (features.shape[1], length), interpolation=cv2.INTER_LINEAR)
