"""Overlapping windows of long videos: their positions, their contents, and merging their proposals.

All windows have one length. The last one is moved back to end with the video. A video shorter than
a window is padded by repeating its last snippet; nothing is ever detected in the padding.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lofi_jax.detection.proposals import Proposals


def shown(start: int, size: int, length: int) -> np.ndarray:
    """The snippets that a window shows of a video of `length` snippets, (size,) int64; past its
    end, its last one.
    """
    return np.minimum(start + np.arange(size), length - 1)


@dataclasses.dataclass(frozen=True)
class Windows:
    """How videos are cut.

    Attributes:
        size: of a window, in snippets.
        overlap: fraction of a window shared with the next, in [0, 1).
        rate: snippets per second; a video of n snippets lasts n / rate seconds.
    """

    size: int
    overlap: float
    rate: float

    @property
    def seconds(self) -> float:
        """A window's length in seconds."""
        return self.size / self.rate

    @property
    def step(self) -> int:
        """Snippets from the beginning of a window to that of the next."""
        return max(1, round(self.size * (1 - self.overlap)))

    def starts(self, length: int) -> np.ndarray:
        """The first snippet of each window of a video of `length` snippets, (W,) int64, ascending,
        at least one.
        """
        last = max(0, length - self.size)
        return np.append(np.arange(0, last, self.step), last)

    def split(self, features: np.ndarray) -> np.ndarray:
        """A video's features (n, C), window after window: (W, size, C)."""
        length = len(features)
        return np.stack(
            [features[shown(s, self.size, length)] for s in self.starts(length).tolist()]
        )

    def inside(
        self, segments: np.ndarray | Sequence[Sequence[float]], start: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The parts of segments inside the window at snippet `start`.

        Args:
            segments: (M, 2) in seconds of the video.
            start: the window's first snippet.

        Returns:
            (M, 2) float64, clipped to the window, in seconds from its beginning; and (M,) float64,
            the fraction of each segment that is inside.
        """
        segments = np.asarray(segments, np.float64).reshape(-1, 2)
        clipped = (segments - start / self.rate).clip(0.0, self.seconds)
        lengths = segments[:, 1] - segments[:, 0]
        return clipped, (clipped[:, 1] - clipped[:, 0]) / np.maximum(lengths, 1e-9)

    def merge(self, found: Sequence[Proposals], length: int, duration: float) -> Proposals:
        """Merges the proposals of a video's windows, before suppression; scores are unchanged.

        Args:
            found: of each window that `starts` gives, in units of the window.
            length: of the video, in snippets.
            duration: of the video, in seconds: what begins after it is dropped, what ends after it
                ends with it.
        """
        begins = self.starts(length) / self.rate
        seconds = [p.segments * self.seconds + b for p, b in zip(found, begins, strict=True)]
        segments = np.concatenate(seconds) / duration
        real = segments[:, 0] < 1.0
        labels = None
        if found[0].labels is not None:
            labels = np.concatenate([p.known_labels for p in found])[real]
        scores = np.concatenate([p.scores for p in found])
        return Proposals(segments[real].clip(0.0, 1.0), scores[real], labels)
