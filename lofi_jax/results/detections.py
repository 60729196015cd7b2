"""The detections in one video."""

import dataclasses
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from lofi_jax.detection.proposals import Proposals, Suppression, suppress
from lofi_jax.errors import UserError
from lofi_jax.files import MOST


class Detection(NamedTuple):
    """One action: from `start` to `end`, in seconds."""

    start: float
    end: float
    label: str
    score: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """The actions found in one video: an immutable value, checked when it is made.

    >>> segments, labels = [[1, 3], [1.5, 3], [7, 9]], ["run", "run", "jump"]
    >>> found = Detections(segments, labels, [0.5, 0.75, 0.25], "v1")
    >>> found
    Detections of 'v1': 3 of 2 classes
      0.75  1.50 s to 3.00 s  run
      0.50  1.00 s to 3.00 s  run
      0.25  7.00 s to 9.00 s  jump
    >>> [detection.label for detection in found.filter(min_score=0.3).top(1)]
    ['run']
    >>> len(found.suppress("hard", threshold=0.5)), found.filter(labels=["jump"]).segments
    (2, array([[7., 9.]]))

    Attributes:
        segments: (N, 2) float64, start and end in seconds, start <= end; see `files.MOST`.
        labels: N class names.
        scores: (N,) float64, at least 0: higher is more confident.
        video: the video's id.

    Raises:
        UserError: arrays of other shapes, or an invalid entry; names video and entry.
    """

    segments: np.ndarray
    labels: tuple[str, ...]
    scores: np.ndarray
    video: str = ""

    def __init__(self, segments: Any, labels: Iterable[Any], scores: Any, video: str = ""):
        check_id(video)
        labels = tuple(labels)
        segments = _floats(segments, video, "segments")
        scores = _floats(scores, video, "scores")
        if not segments.size:  # [] has no second axis
            segments = segments.reshape(0, 2)
        if segments.shape != (len(labels), 2) or scores.shape != (len(labels),):
            raise UserError(
                f"video {video!r}: segments of shape {segments.shape}, {len(labels)} labels and"
                " scores of shape"
                f" {scores.shape}: N detections have (N, 2), N and (N,)"
            )
        _check(segments, labels, scores, video)
        for name, array in (("segments", segments), ("scores", scores)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "video", video)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Detection]:
        columns = zip(self.segments.tolist(), self.labels, self.scores.tolist(), strict=True)
        return (Detection(start, end, label, score) for (start, end), label, score in columns)

    @overload
    def __getitem__(self, chosen: int | np.integer) -> Detection: ...
    @overload
    def __getitem__(self, chosen: slice | np.ndarray | Sequence[int]) -> "Detections": ...
    def __getitem__(self, chosen):
        """One detection by index, or several by slice, indices or mask."""
        if isinstance(chosen, int | np.integer) and not isinstance(chosen, bool):
            start, end = self.segments[chosen].tolist()
            return Detection(start, end, self.labels[chosen], float(self.scores[chosen]))
        places = np.arange(len(self))[chosen]
        if places.ndim != 1:
            raise TypeError(f"choose detections by index, slice, indices or mask, not {chosen!r}")
        labels = [self.labels[i] for i in places]
        return Detections(self.segments[places], labels, self.scores[places], self.video)

    def __add__(self, other: "Detections") -> "Detections":
        """Both, concatenated.

        Raises:
            UserError: they are of different videos.
        """
        if not isinstance(other, Detections):
            return NotImplemented
        if other.video != self.video:
            raise UserError(f"detections of {self.video!r} and of {other.video!r}: not one video")
        return Detections(
            np.concatenate([self.segments, other.segments]),
            self.labels + other.labels,
            np.concatenate([self.scores, other.scores]),
            self.video,
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Detections)
            and (self.video, self.labels) == (other.video, other.labels)
            and np.array_equal(self.segments, other.segments)
            and np.array_equal(self.scores, other.scores)
        )

    def __repr__(self) -> str:
        classes = len(set(self.labels))
        lines = [f"Detections of {self.video!r}: {len(self)} of {classes} classes"]
        lines += [
            f"  {d.score:.2f}  {d.start:.2f} s to {d.end:.2f} s  {d.label}" for d in self.top(5)
        ]
        return "\n".join(lines + ["  ..."] * (len(self) > 5))

    def filter(self, min_score: float = 0.0, labels: Iterable[str] | None = None) -> "Detections":
        """Those with a score of at least `min_score` and, if given, one of the labels."""
        kept = self.scores >= min_score
        if labels is not None:
            wanted = {labels} if isinstance(labels, str) else set(labels)
            kept &= np.array([label in wanted for label in self.labels], dtype=bool)
        return self[kept]

    def top(self, k: int | None = None) -> "Detections":
        """The k best by score (all if k is None), best first; ties keep their order.

        Raises:
            ValueError: k is negative.
        """
        if k is not None and operator.index(k) < 0:
            raise ValueError(f"the number of the best is {k}, not 0 or more")
        return self[np.argsort(-self.scores, kind="stable")[:k]]

    def suppress(
        self,
        method: str = "gaussian",
        sigma: float = 0.84,
        threshold: float = 0.5,
        vote: float = 0.0,
        top_k: int = 100,
    ) -> "Detections":
        """The detections after suppression within each class, best first: see `detection.nms`.

        Args:
            method: "gaussian", "linear" or "hard".
            sigma: of "gaussian"; larger suppresses less.
            threshold: tIoU of "linear" and "hard".
            vote: tIoU from which others refine a kept segment; 0: none do.
            top_k: number kept.

        Raises:
            ValueError: an unknown method, or a number out of its range.
        """
        for name, value in (("threshold", threshold), ("vote", vote)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}, not a number from 0 to 1")
        if operator.index(top_k) < 0:
            raise ValueError(f"top_k is {top_k}, not 0 or more")
        names = sorted(set(self.labels))
        numbers = np.array([names.index(label) for label in self.labels], dtype=np.int64)
        found = Proposals(self.segments, self.scores, numbers)
        (kept,) = suppress([found], Suppression(method, sigma, threshold, vote, top_k))
        labels = [names[int(i)] for i in kept.known_labels]
        return Detections(kept.segments, labels, kept.scores, self.video)

    def entries(self) -> list[dict[str, Any]]:
        """In the ActivityNet form: [{"label", "score", "segment": [start, end]}]."""
        return [{"label": d.label, "score": d.score, "segment": [d.start, d.end]} for d in self]


def by_video(
    videos: Sequence[str],
    segments: Any,
    labels: Sequence[str],
    scores: Any,
    ids: Iterable[str] = (),
) -> dict[str, Detections]:
    """The detections of each video, from rows of many videos.

    >>> found = by_video(["b", "a", "b"], [[0, 1], [2, 3], [4, 5]], ["run"] * 3, [0.5, 0.5, 0.25])
    >>> {video: len(detections) for video, detections in found.items()}
    {'b': 2, 'a': 1}

    Args:
        videos: the id of each of N rows, in any order.
        segments, labels, scores: N, as `Detections` has them.
        ids: further videos, which may have no rows.

    Raises:
        UserError: as `Detections`; the entry is counted within its video.
    """
    number = {video: i for i, video in enumerate(dict.fromkeys([*ids, *videos]))}
    of = np.array([number[video] for video in videos], dtype=np.int64)
    order = np.argsort(of, kind="stable")
    edges = np.searchsorted(of[order], np.arange(len(number) + 1))
    segments, scores = np.asarray(segments), np.asarray(scores)
    found = {}
    for video, low, high in zip(number, edges, edges[1:], strict=False):
        chosen = order[low:high]
        names = [labels[int(row)] for row in chosen]
        found[video] = Detections(segments[chosen], names, scores[chosen], video)
    return found


def check_id(video: Any) -> None:
    """Checks that a video's id is text that files can hold.

    Raises:
        UserError: it is not.
    """
    if not _is_text(video):
        raise UserError(f"the video is {video!r}, not the text of an id")


def _floats(values: Any, video: str, what: str) -> np.ndarray:
    """A copy as float64."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"video {video!r}: the {what} are no array of numbers ({error})") from error


def _is_text(value: Any) -> bool:
    """Whether a value is text that files can hold, without half a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(segments: np.ndarray, labels: Sequence[Any], scores: np.ndarray, video: str) -> None:
    names = {label for label in labels if isinstance(label, str)}
    names = {name for name in names if name and _is_text(name)}
    named = np.array([isinstance(label, str) and label in names for label in labels], dtype=bool)
    # NaN compares as false.
    scored = (scores >= 0) & (scores <= MOST)
    ordered = (np.abs(segments) <= MOST).all(axis=1) & (segments[:, 0] <= segments[:, 1])
    bad = np.flatnonzero(~(named & scored & ordered))
    if not len(bad):
        return
    i = int(bad[0])
    place = f"video {video!r}, entry {i}"
    if not named[i]:
        raise UserError(f"{place}: the label is {labels[i]!r}, not a class name")
    if not scored[i]:
        raise UserError(f"{place}: the score is {scores[i]}, not a number from 0 to {MOST:g}")
    segment = segments[i].tolist()
    raise UserError(
        f"{place}: the segment is {segment}, not a start and a later end of at most {MOST:g} s"
    )
