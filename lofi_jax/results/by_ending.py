"""Files of detections, each in the form that its name's ending says.

| ending | form | holds |
|---|---|---|
| .json | ActivityNet's, which OpenTAD's result_detection.json has too | many videos |
| .pkl | ActionFormer's eval_results.pkl, with classes by number | many videos |
| .csv | video, start, end, label, score | many videos |
| .vtt, .srt | subtitles, which video players show | one video |
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from lofi_jax.errors import UserError
from lofi_jax.files import write_text
from lofi_jax.results import actionformer, csv_files, predictions, subtitles
from lofi_jax.results.detections import Detections, check_id

ENDINGS = (".json", ".pkl", ".csv", ".vtt", ".srt")


def load(path: str | os.PathLike, classes: Sequence[str] = ()) -> dict[str, Detections]:
    """Reads a file's detections by the video's id.

    Args:
        path: the file.
        classes: the names by number, for a .pkl file.

    Raises:
        UserError: no such file, an unknown ending, another form, or a bad entry; names file and
            entry.
    """
    ending = _ending(path)
    if ending == ".json":
        columns = predictions.load(path)
        try:
            return columns.by_video()
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    if ending == ".pkl":
        return actionformer.load(path, _required(path, classes))
    if ending == ".csv":
        return csv_files.load(path)
    found = subtitles.load(path)
    return {found.video: found}


def save(
    path: str | os.PathLike,
    found: Detections | Mapping[str, Detections],
    classes: Sequence[str] = (),
) -> None:
    """Writes detections, atomically.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/found.json"
    >>> save(path, Detections([[1, 2.5]], ["run"], [0.5], "v1"))
    >>> load(path)["v1"]
    Detections of 'v1': 1 of 1 classes
      0.50  1.00 s to 2.50 s  run

    Args:
        path: the file.
        found: of one video, or of many by their ids.
        classes: the names by number, for a .pkl file.

    Raises:
        UserError: an unknown ending, many videos where one is held, or the file cannot be written.
        TypeError: something else than detections.
    """
    ending = _ending(path)
    found = _of_videos(found)
    if ending == ".json":
        predictions.save(path, {video: one.entries() for video, one in found.items()})
    elif ending == ".pkl":
        actionformer.save(path, found, _required(path, classes))
    elif ending == ".csv":
        write_text(path, csv_files.to_csv(found))
    elif len(found) != 1:
        raise UserError(f"{path}: holds one video, not {len(found)}: write a file a video")
    else:
        (one,) = found.values()
        write_text(path, (subtitles.to_webvtt if ending == ".vtt" else subtitles.to_srt)(one))


def _of_videos(found: Any) -> Mapping[str, Detections]:
    """Detections by their video.

    Raises:
        UserError: an id is no text.
        TypeError: they are no `Detections`, or no mapping of them.
    """
    if isinstance(found, Detections):
        return {found.video: found}
    if not isinstance(found, Mapping):
        raise TypeError(f"save Detections, or a dict of them by video, not {type(found)}")
    for video, one in found.items():
        check_id(video)
        if not isinstance(one, Detections):
            raise TypeError(f"save Detections by video, not {type(one)} of {video!r}")
    return found


def _ending(path: str | os.PathLike) -> str:
    ending = pathlib.Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"{path}: the name must end in one of {', '.join(ENDINGS)}")
    return ending


def _required(path: str | os.PathLike, classes: Sequence[str]) -> Sequence[str]:
    if not classes:
        raise UserError(f"{path}: its labels are numbers: give classes, the names by number")
    return classes
