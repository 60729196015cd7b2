"""Kinetics' lists of clips as published: train.csv, val.csv (or validate.csv) and test.csv.

Each has the columns label, youtube_id, time_start, time_end (seconds) and split, and maybe more. A
clip is a file called <youtube_id>_<start>_<end>.* with both times in six digits, so that is its id
here.
"""

import os
import pathlib

import numpy as np

from lofi_jax.data.annotations import activitynet
from lofi_jax.data.annotations.activitynet import Annotations, Video
from lofi_jax.errors import UserError
from lofi_jax.files import csv_rows, is_number

_COLUMNS = ("youtube_id", "time_start", "time_end", "split")
_SUBSETS = {"validate": "val", "validation": "val"}


def is_form(path: pathlib.Path) -> bool:
    """Whether a path is a list of clips or a folder with some."""
    return path.suffix == ".csv" or bool(path.is_dir() and files_of(path))


def files_of(path: str | os.PathLike) -> list[pathlib.Path]:
    """The .csv file itself, or those in a folder, by name."""
    path = pathlib.Path(path)
    return sorted(path.glob("*.csv")) if path.is_dir() else [path]


def load(path: str | os.PathLike) -> Annotations:
    """Reads a list of clips, or all in a folder; see `activitynet.Annotations`.

    The subsets are "train", "val" and "test". A clip has one segment, from its beginning to its
    end, if the list tells a label.

    Raises:
        UserError: no such file, a column is missing, or a row has no times.
    """
    videos: dict[str, Video] = {}
    problems: dict[str, list[str]] = {}
    for file in files_of(path):
        for number, row in csv_rows(file, _COLUMNS):
            video = _video(row, f"{file}, line {number}")
            if video.video_id in videos:
                problems.setdefault(activitynet.DUPLICATE, []).append(video.video_id)
            else:
                videos[video.video_id] = video
    if not videos:
        raise UserError(f"{path}: lists no clips")
    return activitynet.collect(path, videos.values(), problems)


def _video(row: dict[str, str], where: str) -> Video:
    try:
        start, end = float(row["time_start"]), float(row["time_end"])
        if not (is_number(start) and is_number(end)):
            raise ValueError
        video_id = f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}"
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: 'time_start' and 'time_end' are not two numbers") from error
    label, split = row.get("label"), row["split"] or ""
    segments = np.array([[0.0, end - start]] if label else [], np.float64).reshape(-1, 2)
    subset = _SUBSETS.get(split, split)
    return Video(video_id, subset, end - start, segments, (label,) if label else ())
