"""Inference: features to scored, labelled segments; and their evaluation.

Heads run on the device, a batch of videos at a time. What comes after, which is NumPy's, runs
beside it in threads, a batch each: NumPy lets go of Python's lock in its loops, and nothing has to
be copied to another process.
"""

import collections
import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from lofi_jax.data.features.padded_batches import padded_batches
from lofi_jax.detection import metrics
from lofi_jax.detection.metrics import Instances
from lofi_jax.detection.proposals import Proposals, Suppression, suppress, with_classes
from lofi_jax.detection.windows import Windows
from lofi_jax.devices.shared_programs import shared
from lofi_jax.models.protocols import Head
from lofi_jax.results.detections import Detections
from lofi_jax.training.networks import apply_head


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a head's outputs become detections.

    Attributes:
        suppression: of overlapping proposals.
        windows: how long videos are cut; None: whole videos are resampled to one length.
        batch_size: videos, or windows, that the head sees at once.
        dtype: of the head's computation.
    """

    suppression: Suppression
    windows: Windows | None = None
    batch_size: int = 8
    dtype: str = "float32"


class Proposer:
    """Maps features, in the form that the head was trained on, to each video's best proposals after
    suppression.
    """

    def __init__(self, head: Head, params: Any, settings: Settings):
        self._head, self._settings = head, settings
        # An argument, so that the program does not contain the parameters.
        apply = jax.jit(lambda params, x: apply_head(head, settings.dtype, params, x))
        self._apply = functools.partial(shared(apply), jax.device_put(params))

    def __call__(self, features: np.ndarray, duration: float) -> Proposals:
        """The proposals of one video, best first, from features (n, C) and the duration in
        seconds.
        """
        if self._settings.windows:
            return next(self.all_of_windows([(features, duration)], threads=1))[0]
        return self._finish(self._apply(features[None]), 1)[0]

    def all(
        self, batches: Iterable[tuple[np.ndarray, int]], threads: int = 0
    ) -> Iterator[list[Proposals]]:
        """The proposals of every video, one list per batch, in order.

        Args:
            batches: of features (B, L, C), each with the number of its videos; the rest is padding.
            threads: CPU threads that work while the device does; 0: one per core.
        """
        jobs = (
            functools.partial(self._finish, self._apply(features), count)
            for features, count in batches
        )
        return _beside_the_device(jobs, threads)

    def all_of_windows(
        self, videos: Iterable[tuple[np.ndarray, float]], threads: int = 0
    ) -> Iterator[list[Proposals]]:
        """The proposals of every video that is cut into windows, one list of length 1 per video, in
        order.

        Args:
            videos: features (n, C) and duration in seconds.
            threads: as in `all`.
        """
        jobs = (
            functools.partial(self._merge, self._on_windows(features), len(features), duration)
            for features, duration in videos
        )
        return _beside_the_device(jobs, threads)

    @property
    def _windows(self) -> Windows:
        if self._settings.windows is None:
            raise ValueError("videos are not cut into windows")
        return self._settings.windows

    def _on_windows(self, features: np.ndarray) -> list:
        """The head's outputs on a video's windows, in batches, each with its number of windows."""
        batches = padded_batches(self._windows.split(features), self._settings.batch_size)
        return [(self._apply(batch), count) for batch, count in batches]

    def _merge(self, outputs: list, length: int, duration: float) -> list[Proposals]:
        found = [one for batch, count in outputs for one in self._all_in(batch, count)]
        return suppress([self._windows.merge(found, length, duration)], self._settings.suppression)

    def _finish(self, outputs, count: int) -> list[Proposals]:
        kept = suppress(self._all_in(outputs, count), self._settings.suppression)
        return [one._replace(segments=one.segments.clip(0, 1)) for one in kept]

    def _all_in(self, outputs, count: int) -> list[Proposals]:
        """All proposals in the first `count` of a batch, before suppression."""
        outputs = jax.tree.map(lambda x: np.asarray(x)[:count], outputs)
        return list(self._head.proposals(outputs))


def _beside_the_device(jobs: Iterable[Callable], threads: int) -> Iterator:
    """The results of jobs, in order. Jobs run in threads, some ahead; creating one starts the
    device's work.
    """
    threads = threads or os.cpu_count() or 1
    waiting = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for job in jobs:
            # The device continues while the threads wait for it and then for Python.
            waiting.append(pool.submit(job))
            if len(waiting) > threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def label(
    found: Proposals,
    probabilities: Float[np.ndarray, "*P classes"] | None,
    classes: Sequence[str],
    duration: float,
    top_classes: int,
    top_k: int,
    video: str,
) -> Detections:
    """A video's proposals with labels, in seconds, best first.

    Proposals without a class get the most probable ones, scored proposal times class.

    Args:
        found: segments in units of the video.
        probabilities: of the classes, in the video or in each proposal; None: proposals have
            their class.
        classes: names by label.
        duration: of the video, in seconds.
        top_classes: labels per proposal.
        top_k: detections to keep.
        video: its id.
    """
    if probabilities is not None:
        found = with_classes(found, probabilities, top_classes)
    best = found.first(top_k)
    names = [classes[int(label)] for label in best.known_labels]
    return Detections(best.segments * duration, names, best.scores, video)


def measure(
    truth: Instances, detections: Instances, classes: int, tious: Float[np.ndarray, " K"]
) -> dict[str, Any]:
    """mAP, and class-agnostic mAP, which measures localization alone."""
    measured = metrics.evaluate(truth, detections, classes, tious)
    agnostic = metrics.evaluate(
        metrics.class_agnostic(truth), metrics.class_agnostic(detections), 1, tious
    )
    localization = {key: agnostic[key] for key in ("average_mAP", "mAP")}
    return measured | {"class_agnostic": localization}
