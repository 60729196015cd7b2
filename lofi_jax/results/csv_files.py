"""Detections as comma-separated values: the columns video, start, end, label and score, in
seconds.
"""

import csv
import io
import os
from collections.abc import Mapping

from lofi_jax.errors import UserError
from lofi_jax.files import csv_rows
from lofi_jax.results.detections import Detections, by_video

COLUMNS = ("video", "start", "end", "label", "score")


def load(path: str | os.PathLike) -> dict[str, Detections]:
    """Reads such a file; its columns may be in any order, with others between them.

    Raises:
        UserError: no such file, a missing column, or a row that is no detection; names the line.
    """
    videos, segments, labels, scores = [], [], [], []
    for number, row in csv_rows(path, COLUMNS):
        try:
            start, end, score = (float(row[name]) for name in ("start", "end", "score"))
            # Here, where the line is known.
            Detections([[start, end]], [row["label"]], [score], row["video"])
        except (TypeError, ValueError, UserError) as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        videos.append(row["video"])
        segments.append([start, end])
        labels.append(row["label"])
        scores.append(score)
    return by_video(videos, segments, labels, scores)


def to_csv(found: Mapping[str, Detections]) -> str:
    """The text of such a file; a video without detections is not in it.

    >>> print(to_csv({"v1": Detections([[1, 2.5]], ["run, jump"], [0.5], "v1")}), end="")
    video,start,end,label,score
    v1,1.0,2.5,"run, jump",0.5
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((video, *d) for video, detections in found.items() for d in detections)
    return text.getvalue()
