"""Kinetics-400's classes over time in any video file, with no training and no dataset."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from lofi_jax.arrays import AnyArray
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.loader import clips
from lofi_jax.data.record import Record
from lofi_jax.data.streamed.video_frames import open_video
from lofi_jax.data.video import jpeg
from lofi_jax.detection import grouping
from lofi_jax.detection.windows import Windows
from lofi_jax.fidelity import Fidelity
from lofi_jax.jobs import images
from lofi_jax.models.protocols import Module
from lofi_jax.results.detections import Detections
from lofi_jax.weights.kinetics import Recognition

# As the network was trained: 25 frames a second, the centre of a short side of 256 pixels. A step,
# which has a score of its own, is 8 frames; 8 of them are a window.
_FPS, _FRAMES, _STEPS, _PIXELS, _SHORT_SIDE = 25.0, 8, 8, 224, 256
_RATE = _FPS / _FRAMES
# Of the windows of a video: each shares half with the next one.
_OVERLAP = 0.5
# Of a video's detections: classes that are shown however faint, and the least score of others.
_ANYWAY, _LEAST = 5, 0.05


class Recognizer:
    """Tells what is in a video: the classes of a trained network, each with its time.

    Windows of 64 frames slide over the video. The logits of their steps are averaged over a
    window's length around each step, their softmax is grouped to segments.

    Attributes:
        name: of the network.
        classes: what it tells.
    """

    name = "i3d"

    def __init__(self, recognition: Recognition):
        self.classes: Sequence[str] = recognition.classes
        variables = jax.device_put(recognition.variables)
        layer = jax.device_put((recognition.kernel, recognition.bias))
        logits = jax.jit(functools.partial(_logits, recognition.network))
        self._logits = functools.partial(logits, variables, layer)

    def read(self, video: str | os.PathLike) -> tuple[Record, str]:
        """A video file's record, whose frames are decoded when they are needed, and of a damaged
        file how much it covers.

        Raises:
            VideoError: nothing can be decoded.
        """
        sampling = Sampling(
            frames=_FRAMES, stride=0, short_side=_SHORT_SIDE, snippets_per_second=_RATE
        )
        return open_video(video, sampling)

    def detect_in(self, record: Record) -> Detections:
        """The classes in a record from `read`, best first."""
        found = grouping.group(_smoothed_softmax(self.logits(record)), _ANYWAY, _LEAST)
        covered = len(record.frames) / _FPS
        seconds = (found.segments * covered).clip(0, record.duration)
        names = [self.classes[int(label)] for label in found.known_labels]
        return Detections(seconds, names, found.scores, record.video_id)

    def logits(self, record: Record) -> Float[np.ndarray, "S classes"]:
        """The logits of every step of 8 frames, each the mean of its windows'."""
        length = len(record.frames) // _FRAMES
        # Short videos have windows of 1, 2 or 4 steps: few programs for all lengths.
        size = 2 ** min(_STEPS.bit_length() - 1, length.bit_length() - 1)
        total, count = np.zeros((length, len(self.classes))), np.zeros((length, 1))
        for start in Windows(size, _OVERLAP, _RATE).starts(length).tolist():
            steps = slice(start, start + size)
            total[steps] += self._logits(self._frames(record, np.arange(length)[steps]))[0]
            count[steps] += 1
        return total / count

    def thumbnails(self, record: Record) -> list[np.ndarray]:
        """A few frames of a record, evenly spread."""
        return images.spread(record, _FRAMES, _PIXELS, _PIXELS)

    def _frames(self, record: Record, steps: np.ndarray) -> np.ndarray:
        """The frames (1, T, H, W, 3) of some steps."""
        full = Fidelity(len(steps), _PIXELS, _PIXELS)
        crop = jpeg.centre_crop(*record.size, 1.0)
        frames = clips.snippets_of(record, steps, _FRAMES, full, crop).read()
        return frames.reshape(1, -1, *frames.shape[2:])


def _logits(
    network: Module, variables: dict[str, Any], layer: tuple, frames: AnyArray
) -> Float[Array, "N t classes"]:
    kernel, bias = layer
    return network.apply(variables, frames, method="steps") @ kernel + bias


def _smoothed_softmax(logits: Float[np.ndarray, "S classes"]) -> Float[np.ndarray, "S classes"]:
    """The probabilities of the window around each step; at the video's ends, of the last whole
    one.
    """
    total = np.concatenate([np.zeros((1, logits.shape[1])), logits.cumsum(axis=0)])
    size = min(_STEPS, len(logits))
    low = (np.arange(len(logits)) - size // 2).clip(0, len(logits) - size)
    means = (total[low + size] - total[low]) / size
    exponents = np.exp(means - means.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)
