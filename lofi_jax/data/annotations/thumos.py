"""THUMOS14's temporal annotations as published: a folder with a text file for each class and
subset.

The two archives unpack to any depth below one folder; their files are called <Class>_val.txt and
<Class>_test.txt, and each line is a video's name, a start and an end in seconds. Segments of the
class "Ambiguous" count neither as action nor as background in the challenge; they are left out
here.
"""

import collections
import os
import pathlib

import numpy as np

from lofi_jax.data.annotations import activitynet
from lofi_jax.data.annotations.activitynet import Annotations, Video
from lofi_jax.errors import UserError
from lofi_jax.files import is_number, read_text

AMBIGUOUS = "segments marked Ambiguous (left out)"
MISANNOTATED = "videos left out, as in the usual file of 210 test videos"

_SUBSETS = {"_val.txt": "validation", "_test.txt": "test"}

# The first two are annotated wrongly, mostly past their ends, and the third has only ambiguous
# segments (github.com/yjxiong/action-detection/issues/13,
# github.com/HYPJUDY/Decouple-SSAD/issues/23, github.com/bellos1203/STPN/issues/2). Some results
# keep one or more of them.
LEFT_OUT = ("video_test_0000270", "video_test_0001496", "video_test_0001292")


def files_of(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The annotation files below a folder, by name."""
    found = [path for end in _SUBSETS for path in pathlib.Path(folder).rglob(f"*{end}")]
    return sorted(found, key=lambda path: (path.name, path))


def load(folder: str | os.PathLike) -> Annotations:
    """Reads the annotation files below a folder; see `activitynet.Annotations`.

    The subsets are "validation" and "test", the videos in the order of their names and a video's
    segments in that of their starts. The files say no durations.

    Raises:
        UserError: no such files, or a line that is not a name and two numbers.
    """
    segments: dict[str, list[tuple[float, float, str]]] = collections.defaultdict(list)
    subsets: dict[str, str] = {}
    problems: dict[str, list[str]] = collections.defaultdict(list)
    for path in files_of(folder):
        label, _, subset = path.stem.rpartition("_")
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if not line.strip():
                continue
            video_id, start, end = _parse(line, f"{path}, line {number}")
            if video_id in LEFT_OUT:
                continue
            subsets[video_id] = _SUBSETS[f"_{subset}.txt"]
            if label == "Ambiguous":
                problems[AMBIGUOUS].append(f"{video_id}: {start} to {end}")
            else:
                segments[video_id].append((start, end, label))
    if not subsets:
        raise UserError(f"{folder}: no annotations: neither <Class>_val.txt nor <Class>_test.txt")
    if "test" in subsets.values():
        problems[MISANNOTATED].extend(LEFT_OUT)
    videos = [_video(name, subsets[name], sorted(segments[name])) for name in sorted(subsets)]
    return activitynet.collect(folder, videos, problems)


def _parse(line: str, where: str) -> tuple[str, float, float]:
    try:
        video_id, start, end = line.split()
        start, end = float(start), float(end)
        if not (is_number(start) and is_number(end)):
            raise ValueError
        return video_id, start, end
    except ValueError as error:
        raise UserError(f"{where}: {line!r} is not a video's name, a start and an end") from error


def _video(video_id: str, subset: str, segments: list[tuple[float, float, str]]) -> Video:
    array = np.array([pair for *pair, _ in segments], np.float64).reshape(-1, 2)
    return Video(video_id, subset, None, array, tuple(label for *_, label in segments))
