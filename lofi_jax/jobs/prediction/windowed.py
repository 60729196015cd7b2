"""Detection in a video window by window, as its snippets come: for videos longer than those trained
on, and for live ones.

Each window is a video of the length that head and classifier know, with labels of its own. Windows
overlap; a detection counts if its centre lies in the window's own part, which ends halfway through
the overlap with the next.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from lofi_jax.detection.nms import tiou
from lofi_jax.detection.windows import Windows, shown
from lofi_jax.results.detections import Detections

Parts = dict[str, np.ndarray]  # features (n, C) of each encoder

# tIoU from which a detection is another window's of the same action.
_SAME = 0.5


def detect(
    pieces: Iterable[Parts],
    windows: Windows,
    in_window: Callable[[Parts], Detections],
    duration: Callable[[], float],
) -> Iterator[tuple[float, Detections]]:
    """Yields the detections of each window once it is complete.

    Args:
        pieces: the features of some snippets more.
        windows: how the video is cut.
        in_window: the detections in a window's features, in seconds from its beginning.
        duration: of the video in seconds, asked for when the pieces have ended.

    Yields:
        The seconds of video that have been seen, and the detections, best first, in seconds of the
        video.
    """
    held: Parts = {}
    begin = count = start = 0  # snippets: the first held, those that came, the next window's first
    step = windows.step
    owned = 0.0
    found = None

    def own(start: int, until: float, end: float) -> Detections:
        nonlocal found, owned
        part = {
            key: rows[shown(start - begin, windows.size, len(rows))] for key, rows in held.items()
        }
        one = _placed(in_window(part), start / windows.rate, end)
        centres = one.segments.mean(axis=1)
        one = one[(centres >= owned) & (centres < until)]
        one = one if found is None else _without(one, found)
        owned, found = until, one
        return one

    for piece in pieces:
        for key, rows in piece.items():
            held[key] = np.concatenate([held[key], rows]) if key in held else rows
        count += len(next(iter(piece.values())))
        while count >= start + windows.size:
            until = (start + (step + windows.size) / 2) / windows.rate
            yield count / windows.rate, own(start, until, np.inf)
            # The video may end before the next window does, whose place is then between the two.
            held = {key: rows[start - begin :] for key, rows in held.items()}
            begin, start = start, start + step
    if not held:
        return
    end = duration()
    yield end, own(max(0, count - windows.size), np.inf, end)


def batches(snippets: Iterable[list], size: int) -> Iterator[list[list]]:
    """Lists of `size` snippets, the last one shorter."""
    iterator = iter(snippets)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _placed(found: Detections, begin: float, end: float) -> Detections:
    """Detections of a window in seconds of the video, whose end they do not pass."""
    segments = found.segments + begin
    inside = segments[:, 0] < end
    moved = Detections(np.minimum(segments, end), found.labels, found.scores, found.video)
    return moved[inside]


def _without(found: Detections, before: Detections) -> Detections:
    """The detections that are none of those before of the same label."""
    if not len(found) or not len(before):
        return found
    same = np.array(found.labels)[:, None] == np.array(before.labels)
    return found[~((tiou(found.segments, before.segments) >= _SAME) & same).any(axis=1)]
