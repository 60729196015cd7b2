"""One video's detections as subtitles, WebVTT or SubRip (SRT), which video players show while they
play.

A cue's text is the label, and the score in brackets. Times are kept to the millisecond, scores to
three digits. Sources: W3C, WebVTT: The Web Video Text Tracks Format; SubRip's files have no
standard, only its example.
"""

import html
import os
import pathlib
import re
from collections.abc import Iterator

from lofi_jax.data import video_ids
from lofi_jax.errors import UserError
from lofi_jax.files import read_text
from lofi_jax.results.detections import Detection, Detections

_TIME = r"(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9})[.,](\d{3})"
_TIMES = re.compile(rf"^[ \t]*{_TIME}[ \t]+-->[ \t]+{_TIME}.*$", re.MULTILINE)
_SCORED = re.compile(r"(.*) \((\d+(?:\.\d+)?(?:e[-+]?\d+)?)\)")


def to_webvtt(found: Detections) -> str:
    """The text of a .vtt file.

    Raises:
        UserError: a label of spaces alone, which no player shows; so does `to_srt`.

    >>> print(to_webvtt(Detections([[1, 63.5]], ["long jump"], [0.875])))
    WEBVTT
    <BLANKLINE>
    00:00:01.000 --> 00:01:03.500
    long jump (0.875)
    <BLANKLINE>
    """
    cues = [f"{_span(d, '.')}\n{html.escape(_text(d), quote=False)}\n" for d in sorted(found)]
    return "\n".join(["WEBVTT\n", *cues])


def to_srt(found: Detections) -> str:
    """The text of a .srt file."""
    cues = enumerate(sorted(found), start=1)
    return "\n".join(f"{i}\n{_span(d, ',')}\n{_text(d)}\n" for i, d in cues)


def load(path: str | os.PathLike) -> Detections:
    """Reads a .vtt or .srt file; the video's id is the file's name without its extension.

    A cue without a score in brackets, as people write them, has a score of 1.

    Raises:
        UserError: no such file, or a cue without text or that ends before it starts; names the cue.
    """
    path = pathlib.Path(path)
    video = video_ids.readable(path).stem
    found = list(_cues(read_text(path), unescape=path.suffix.lower() == ".vtt"))
    segments = [(d.start, d.end) for d in found]
    try:
        return Detections(segments, [d.label for d in found], [d.score for d in found], video)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _cues(text: str, unescape: bool) -> Iterator[Detection]:
    for block in re.split(r"\n\s*\n", text):
        times = _TIMES.search(block)
        if times is None:
            continue  # the head, a note or a style
        numbers = [int(group or 0) for group in times.groups()]
        start, end = (
            3600 * h + 60 * m + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:])
        )
        said = " ".join(block[times.end() :].split())
        said = html.unescape(said) if unescape else said
        scored = _SCORED.fullmatch(said)
        label, score = scored.groups() if scored else (said, "1")
        yield Detection(start, end, label, float(score))


def _span(detection: Detection, mark: str) -> str:
    start = round(1000 * detection.start)
    # A cue must last.
    end = max(round(1000 * detection.end), start + 1)
    return f"{_clock(start, mark)} --> {_clock(end, mark)}"


def _clock(milliseconds: int, mark: str) -> str:
    seconds, rest = divmod(max(milliseconds, 0), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{rest:03}"


def _text(detection: Detection) -> str:
    label = " ".join(detection.label.split())
    if not label:
        raise UserError(f"the label {detection.label!r} is blank in a subtitle: save as .json")
    return f"{label} ({detection.score:.3g})"
