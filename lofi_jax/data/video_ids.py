"""Which name means which video: one rule for files, annotations, features, scores and predictions.

Two names mean one video if they are equal, or differ only by a leading "v_", which ActivityNet's
and HACS's downloads put before the ids of their annotation files. A name that is there as it is
goes first.
"""

import os
import pathlib
from collections.abc import Collection, Container, Iterable

PREFIX = "v_"


def readable(path: str | os.PathLike) -> pathlib.Path:
    """A path with a mark in place of each byte that is no text, for ids and messages."""
    return pathlib.Path(os.fsencode(path).decode(errors="replace"))


def of_file(path: str | os.PathLike) -> str:
    """The id of a video file: its readable name without the ending and a leading "v_".

    >>> of_file("clips/v_abc.mp4"), of_file("abc.def.mkv")
    ('abc', 'abc.def')
    """
    stem = readable(path).stem
    return stem.removeprefix(PREFIX) or stem


def possible(video: str) -> tuple[str, str, str]:
    """The names that mean the video, its own first."""
    return video, f"{PREFIX}{video}", video.removeprefix(PREFIX)


def find(video: str, known: Container[str]) -> str | None:
    """The name among `known` that means the video, None if there is none.

    >>> find("abc", ["v_abc"]), find("v_abc", ["abc"]), find("v_abc", ["abc", "v_abc"])
    ('v_abc', 'abc', 'v_abc')
    """
    return next((name for name in possible(video) if name in known), None)


def aligned(videos: Iterable[str], known: Container[str]) -> tuple[str, ...]:
    """The videos by the names that they have among `known`, or else by their own; never two by one
    name.

    >>> aligned(["v_abc", "v_def", "def", "ghi"], ["abc", "def"])
    ('abc', 'v_def', 'def', 'ghi')
    """
    videos = tuple(videos)
    own: Collection[str] = frozenset(videos)

    def name(video: str) -> str:
        there = find(video, known)
        return video if there is None or there in own else there

    return tuple(map(name, videos))
