"""Times that are no seconds: frames, milliseconds or fractions of the video."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.errors import first

_PAST = 1.5  # times the video's length from which an end cannot be in seconds
_FITS = 1.1  # times the length that the right unit stays under
_MOST = 0.5  # share of the videos that tells a unit from single mistakes
_LONGER = 1.05, 1.0  # an annotated duration is another than the file's by this factor and seconds


def check(
    videos: Sequence[Video], durations: Mapping[str, float], rates: Mapping[str, float]
) -> Iterator[Finding]:
    """Compares the annotated times with the lengths of the files.

    Args:
        videos: as annotated, unrepaired.
        durations: seconds by id, from the files where they are known.
        rates: frames a second by id.
    """
    known = [v for v in videos if len(v.labels) and durations.get(v.video_id, 0) > 0]
    if known:
        ends = np.array([video.segments.max() for video in known])
        lengths = np.array([durations[video.video_id] for video in known])
        fps = np.array([rates.get(video.video_id, 0.0) for video in known])
        yield from _units(known, ends, lengths, fps)
    yield from _other_lengths(videos, durations)
    backward = [
        f"{video.video_id}[{i}]"
        for video in videos
        for i in np.flatnonzero(video.segments[:, 1] <= video.segments[:, 0])
    ]
    if backward:
        yield Finding(
            Severity.WARNING,
            f"{len(backward)} segments end before they start or have no length: {first(backward)}",
            "correct them; training leaves them out, and the evaluation counts them as missed",
        )


def _units(
    videos: Sequence[Video], ends: np.ndarray, lengths: np.ndarray, fps: np.ndarray
) -> Iterator[Finding]:
    past = ends > _PAST * lengths
    example = int(np.argmax(ends / lengths))
    seen = f"{videos[example].video_id}: {ends[example]:g} in a video of {lengths[example]:.1f} s"
    if past.mean() > _MOST:
        unit, remedy = "no seconds", "write them in seconds"
        for name, factor in (("frames", np.maximum(fps, 1e-9)), ("milliseconds", 1000.0)):
            if np.mean(ends / factor <= _FITS * lengths) > 0.9 and np.all(factor > 1):
                unit = f"probably {name}"
                remedy = f"divide them by {'the frame rate' if name == 'frames' else '1000'}"
                break
        yield Finding(
            Severity.STOP,
            f"annotated times are {unit}: {100 * past.mean():.0f} percent of the videos have"
            f" times past their end ({seen})",
            f"{remedy} in the annotation file",
        )
    elif past.any():
        yield Finding(
            Severity.WARNING,
            f"{past.sum()} of {len(videos)} videos have times far past their end ({seen})",
            "look whether these files and their annotations belong together",
        )
    elif ends.max() <= 1 and np.median(lengths) > 3:
        yield Finding(
            Severity.STOP,
            f"annotated times are probably fractions of the video: none is over 1 ({seen})",
            "multiply them by the video's duration in the annotation file",
        )


def _other_lengths(videos: Sequence[Video], durations: Mapping[str, float]) -> Iterator[Finding]:
    factor, seconds = _LONGER
    other = [
        f"{video.video_id} ({video.duration:.1f} s, the file {there:.1f})"
        for video in videos
        if video.duration and (there := durations.get(video.video_id))
        if max(video.duration, there) > factor * min(video.duration, there) + seconds
    ]
    if other:
        yield Finding(
            Severity.WARNING,
            f"{len(other)} of {len(videos)} videos are annotated with another duration than"
            f" their file has: {first(other)}",
            "look whether the files were cut or sped up after they were annotated",
        )
