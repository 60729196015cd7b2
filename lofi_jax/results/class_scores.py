"""External video-level class scores, in the form of the CUHK team's file for ActivityNet.

{"class": [name, ...], "results": {video_id: [score, ...]}}, scores in the order of the names.
"""

from typing import Any

import numpy as np

from lofi_jax.data.video_ids import aligned
from lofi_jax.errors import UserError, first
from lofi_jax.files import is_number, read_json


def load(path: str, video_ids: list[str], classes: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    """Reads the scores of the given videos.

    Args:
        path: the file.
        video_ids: the videos wanted.
        classes: the dataset's names, in whose order the scores come back.

    Returns:
        (videos, classes) float64, rows of 1 / classes for videos that the file lacks; and those
        videos' ids.

    Raises:
        UserError: not this form, other class names, none of the videos, or a score below 0.
    """
    names, results = read(path)
    return select(path, names, results, video_ids, classes)


def read(path: str) -> tuple[list[str], dict[str, list[float]]]:
    """The file's own class names, and the scores by video in their order.

    Raises:
        UserError: not this form.
    """
    data, _ = read_json(path)
    names, results = (data.get(k) if isinstance(data, dict) else None for k in ("class", "results"))
    if not (isinstance(names, list) and isinstance(results, dict)):
        raise UserError(f"{path}: not class scores: it needs the keys 'class' and 'results'")
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{path}: 'class' holds other than names of classes")
    if len(set(names)) < len(names):
        raise UserError(f"{path}: 'class' names a class twice")
    return names, results


def select(
    path: str,
    names: list[str],
    results: dict[str, list[float]],
    video_ids: list[str],
    classes: tuple[str, ...],
) -> tuple[np.ndarray, list[str]]:
    """As `load`, of what `read` has read."""
    if unknown := sorted(set(classes) - set(names)):
        raise UserError(
            f"{path}: has no class {unknown[0]!r} ({len(unknown)} of {len(classes)} are not among"
            f" its {len(names)}, such as {first(names)})"
        )
    columns = [names.index(name) for name in classes]
    results = dict(zip(aligned(results, set(video_ids)), results.values(), strict=True))
    missing = [video_id for video_id in video_ids if video_id not in results]
    if len(missing) == len(video_ids):
        raise UserError(f"{path}: has scores of none of the videos, such as {first(missing)}")
    scores = np.full((len(video_ids), len(classes)), 1 / len(classes))
    for i, video_id in enumerate(video_ids):
        if video_id in results:
            row = results[video_id]
            if not (isinstance(row, list) and len(row) == len(names) and all(map(_is_score, row))):
                wanted = f"{len(names)} scores of 0 or above"
                raise UserError(f"{path}: video {video_id!r}: not {wanted}")
            scores[i] = np.array(row, np.float64)[columns]
    return scores, missing


def _is_score(value: Any) -> bool:
    return is_number(value) and value >= 0
