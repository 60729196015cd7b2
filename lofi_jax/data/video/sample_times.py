"""The times at which a video is sampled: where its snippets lie, and their frames."""

import math

import numpy as np

# Seconds. Durations are sums of rounded ticks; this much over a whole snippet begins no new one.
_ROUNDING = 1e-3


def snippets_in(duration: float, rate: float, snippets: int) -> int:
    """The number of snippets of a video: `snippets`, or where `rate` (snippets a second) is set,
    `duration` (seconds) x `rate`.
    """
    return max(1, math.ceil(duration * rate - _ROUNDING)) if rate else snippets


def sample_times(
    duration: float, fps: float, snippets: int, frames: int, stride: int, rate: float = 0.0
) -> np.ndarray:
    """The times at which a video is sampled: `snippets` snippets of `frames` frames each.

    Snippet l has its centre at (l + 0.5) / snippets * duration. With `stride` > 0 its frames lie
    `stride` native frames apart around that centre, kept inside the video (paper, section 1: of 64
    frames every 8th); with `stride` = 0 they are spread evenly over the snippet.

    With `rate` > 0 a snippet is 1 / rate seconds long and `snippets` is ignored: centre l lies at
    (l + 0.5) / rate, and times past the video's end show its last frame.

    Returns:
        (snippets * frames,) float64 seconds, snippet after snippet; ascending unless the frames of
        neighbouring snippets interleave.
    """
    snippets = snippets_in(duration, rate, snippets)
    covered = snippets / rate if rate else duration
    if stride == 0:
        times = (np.arange(snippets * frames) + 0.5) / (snippets * frames) * covered
        return times.clip(None, max(0.0, duration - 0.5 / fps)) if rate else times
    centres = (np.arange(snippets) + 0.5) / snippets * covered
    offsets = (np.arange(frames) - (frames - 1) / 2) * stride / fps
    times = (centres[:, None] + offsets).reshape(-1)
    return times.clip(0.0, max(0.0, duration - 0.5 / fps))
