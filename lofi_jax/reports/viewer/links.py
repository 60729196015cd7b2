"""Addresses of moments in the viewer's page, and the errors worth a look."""

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MISSED = "missed"


class Moment(NamedTuple):
    """A segment of one video, and its address in the page."""

    video: str
    text: str
    address: str


def of_video(video: str) -> str:
    """A video's address in the page.

    >>> of_video("one # 1")
    '#video=one%20%23%201'
    """
    return f"#video={urllib.parse.quote(video, safe='')}"


def errors(data: Mapping[str, Any], most: int) -> dict[str, list[Moment]]:
    """The first system's errors at the first threshold: of each type those with the best scores,
    and the longest of the instances that it misses.

    Args:
        data: from `results.side_by_side.judged`.
        most: of each type.
    """
    _, *types = data["types"]
    found = {name: [] for name in (*types, MISSED)}
    for video in data["videos"]:
        for row in video["found"][0]:
            if kind := int(row[4][0]):
                found[types[kind - 1]].append((-row[3], video["id"], row, 0))
        for row in video["truth"]:
            if row[3][0][0] == "0":
                found[MISSED].append((row[0] - row[1], video["id"], row, -1))
    return {
        name: [
            _moment(data["classes"], *one)
            for one in sorted(rows, key=lambda one: (one[0], one[1], one[2][0]))[:most]
        ]
        for name, rows in found.items()
    }


def _moment(classes: Sequence[str], _: float, video: str, row: Sequence, system: int) -> Moment:
    start, end, label = row[:3]
    score = f", score {row[3]:.3g}" if system >= 0 else ""
    address = f"{of_video(video)}&t={start}&end={end}&system={system}"
    return Moment(video, f"{video}: {classes[label]}, {start:.2f} to {end:.2f} s{score}", address)
