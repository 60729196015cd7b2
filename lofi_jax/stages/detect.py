"""Inference: features to scored, labelled segments; and their evaluation.

Heads run on the device, a batch of videos at a time. What comes after, which is NumPy's, runs beside it in threads, a
batch each: NumPy lets go of Python's lock in its loops, and nothing has to be copied to another process.
"""

import collections
import concurrent.futures
import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np

from lofi_jax.config import rows_of, suppression, tious
from lofi_jax.data import predictions
from lofi_jax.detection import metrics
from lofi_jax.detection.proposals import Proposals, suppress, with_classes
from lofi_jax.models import HEADS
from lofi_jax.rows import Row
from lofi_jax.stages import classify, datasets, extract, head
from lofi_jax.stages.batches import feature_batches, padded_batches
from lofi_jax.stages.setup import Run, apply_head, make_head
from lofi_jax.stages.stamps import is_made_from, stamp
from lofi_jax.training import processes
from lofi_jax.training.checkpoints import load_state
from lofi_jax.training.progress import Progress

Detection = dict[str, object]


def path(run: Run, row: Row) -> pathlib.Path:
    """The file of a row's detections."""
    return run.workdir / "detections" / f"{row.name}.json"


def run(run: Run, row: Row) -> None:
    """Detects in every test video and writes the file, unless it was made from the same features and checkpoints."""
    target = datasets.target(run)
    standardise = run.config.head_training.standardise
    videos = extract.videos(run, row.encoder, target.test_videos, standardise)
    sources = _sources(run, row)
    if is_made_from(path(run, row), sources):
        return
    if HEADS[row.head].classifies:
        probabilities = np.ones((len(videos), len(target.classes)))
    else:
        probabilities = classify.test_probabilities(run)
    propose = Proposer(run, row, len(target.classes))
    index, count = processes.place()
    own = range(index, len(videos), count)
    progress = Progress(f"detect ({row.name})", len(own), unit="videos")
    numbers = iter(own)
    results = {}
    if target.windows:
        batches = propose.all_of_windows(
            (videos[i]["features"], target.test_videos[i].duration) for i in own
        )
    else:
        batches = propose.all(
            feature_batches(datasets.Chosen(videos, own), run.config.detect.batch_size)
        )
    for found in batches:
        for proposals, i in zip(found, numbers, strict=False):
            video = target.test_videos[i]
            results[video.video_id] = label(
                run, proposals, probabilities[i], target.classes, video.duration
            )
        progress.show(len(results), {})
    progress.close()
    path(run, row).parent.mkdir(exist_ok=True)
    found = processes.collect(path(run, row), results)
    if processes.is_first():
        ordered = {video.video_id: found[video.video_id] for video in target.test_videos}
        stamp(path(run, row), sources, lambda: predictions.save(path(run, row), ordered))
    processes.wait(f"detect {row.name}: written")


def _sources(run: Run, row: Row) -> dict[str, pathlib.Path]:
    """What a row's detections are made from, beside the settings, which are the workdir's."""
    sources = {
        "features": extract.store(run, row.encoder).folder / "features.json",
        "head": head.checkpoint(run, row),
    }
    if run.config.data.annotations:
        sources["annotations"] = pathlib.Path(run.config.data.annotations)
    return sources if HEADS[row.head].classifies else sources | classify.sources(run)


class Proposer:
    """Features in, standardised where the config's head sees such; each video's best proposals, suppressed, out."""

    def __init__(self, run: Run, row: Row, classes: int):
        self._suppression = suppression(run.config, row.head)
        self._windows, self._batch = datasets.windows_of(run.config), run.config.detect.batch_size
        self._head = make_head(run.config, row.head, classes)
        params = load_state(head.checkpoint(run, row))["params"]["head"]
        self._apply = jax.jit(lambda x: apply_head(self._head, run.config, params, x))

    def __call__(self, features: np.ndarray, duration: float) -> Proposals:
        """The proposals of one video, best first, from features (n, C) and the duration in seconds."""
        if self._windows:
            return next(self.all_of_windows([(features, duration)], threads=1))[0]
        return self._finish(self._apply(features[None]), 1)[0]

    def all(
        self, batches: Iterable[tuple[np.ndarray, int]], threads: int = 0
    ) -> Iterator[list[Proposals]]:
        """The proposals of every video, a list a batch, in order.

        Args:
            batches: of features (B, L, C), each with the number of its videos; what is beyond is padding.
            threads: that work beside the device; 0: one a core.
        """
        jobs = (
            functools.partial(self._finish, self._apply(features), count)
            for features, count in batches
        )
        return _beside_the_device(jobs, threads)

    def all_of_windows(
        self, videos: Iterable[tuple[np.ndarray, float]], threads: int = 0
    ) -> Iterator[list[Proposals]]:
        """The proposals of every video that is cut into windows, a list of one a video, in order.

        Args:
            videos: features (n, C) and duration in seconds.
            threads: as in `all`.
        """
        jobs = (
            functools.partial(self._merge, self._on_windows(features), len(features), duration)
            for features, duration in videos
        )
        return _beside_the_device(jobs, threads)

    def _on_windows(self, features: np.ndarray) -> list:
        """The head's outputs on a video's windows, in batches, each with how many of them are windows."""
        batches = padded_batches(self._windows.split(features), self._batch)
        return [(self._apply(batch), count) for batch, count in batches]

    def _merge(self, outputs: list, length: int, duration: float) -> list[Proposals]:
        found = [one for batch, count in outputs for one in self._all_in(batch, count)]
        return suppress([self._windows.merge(found, length, duration)], self._suppression)

    def _finish(self, outputs, count: int) -> list[Proposals]:
        kept = suppress(self._all_in(outputs, count), self._suppression)
        return [one._replace(segments=one.segments.clip(0, 1)) for one in kept]

    def _all_in(self, outputs, count: int) -> list[Proposals]:
        """All proposals in the first `count` of a batch, before suppression."""
        outputs = jax.tree.map(lambda x: np.asarray(x)[:count], outputs)
        return self._head.proposals(outputs)


def _beside_the_device(jobs: Iterable[Callable], threads: int) -> Iterator:
    """What jobs return, in order; they run in threads, some ahead, and making one puts the device to work."""
    threads = threads or os.cpu_count() or 1
    waiting = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for job in jobs:
            # The device works on, while the threads wait for it and then for Python.
            waiting.append(pool.submit(job))
            if len(waiting) > threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def label(
    run: Run, found: Proposals, probabilities: np.ndarray, classes: tuple[str, ...], duration: float
) -> list[Detection]:
    """A video's proposals as the file has them, in seconds, best first.

    Those without a class get the video's most probable ones, each with the proposal's score times the class's.
    """
    if found.labels is None:
        found = with_classes(found, probabilities, run.config.classifier.top_classes)
    segments, scores, labels = (array[: run.config.detect.top_k] for array in found)
    return predictions.entries(segments * duration, scores, [classes[c] for c in labels])


def load_detections(run: Run, row: Row) -> dict[str, list[Detection]]:
    """A row's detections by video."""
    return json.loads(path(run, row).read_text())["results"]


def evaluate(run: Run) -> dict:
    """The measures of every row, as results.json holds them; in the first process, which the others help."""
    target = datasets.target(run)
    measure = functools.partial(_measure, target, tious=tious(run.config))
    table = rows_of(run.config)
    index, count = processes.place()
    own = {row.name: measure(predictions.load(path(run, row))) for row in table[index::count]}
    measures = processes.collect(run.workdir / "results.json", own)
    rows = [dataclasses.asdict(row) | measures.get(row.name, {}) for row in table]
    return {"dataset": run.config.dataset, "rows": rows}


def _measure(target, found, tious: np.ndarray) -> dict:
    """mAP as it stands, and without regard to the class, which is localization alone."""
    truth = target.test_instances()
    detections = target.as_instances(found)
    classes = len(target.classes)
    measured = metrics.evaluate(truth, detections, classes, tious)
    agnostic = metrics.evaluate(
        metrics.class_agnostic(truth), metrics.class_agnostic(detections), 1, tious
    )
    localization = {key: agnostic[key] for key in ("average_mAP", "mAP")}
    return measured | {"class_agnostic": localization}
