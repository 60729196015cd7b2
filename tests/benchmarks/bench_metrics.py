"""How long evaluation takes at ActivityNet's full scale: 4,728 validation videos x 100 made-up
predictions.

python tests/benchmarks/bench_metrics.py --ground_truth=activity_net.v1-3.min.json

Prints wall-clock and processor seconds of each part, and the milliseconds a video of suppressing a
full map.
"""

import pathlib
import tempfile
import time
from contextlib import contextmanager

import numpy as np
from absl import app, flags

from lofi_jax.detection import bootstrap, buckets, diagnosis, metrics
from lofi_jax.detection.proposals import Proposals, Suppression, suppress
from lofi_jax.results import ground_truth, predictions

GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file.", required=True)
SUBSET = flags.DEFINE_string("subset", "validation", "The videos.")
PREDICTIONS = flags.DEFINE_integer("predictions", 100, "A video.")
RESAMPLES = flags.DEFINE_integer("resamples", 1000, "Draws of the bootstrap; 0: none.")


@contextmanager
def timed(name):
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    spent = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<44}{spent[0]:8.2f} s {spent[1]:8.2f} s of processor time", flush=True)


def made_up(videos, count, seed):
    """Predictions that shake the segments of each video; some have another video's label."""
    generator = np.random.default_rng(seed)
    labels = sorted({label for video in videos.values() for label in video.labels})
    results = {}
    for key, video in videos.items():
        chosen = generator.integers(0, len(video.labels), count) if video.labels else []
        entries = []
        for i in chosen:
            start, end = video.segments[i]
            ends = np.sort([start, end] + generator.normal(0, 0.2, 2) * (end - start + 0.1))
            wrong = generator.random() < 0.2
            label = labels[generator.integers(len(labels))] if wrong else video.labels[i]
            score = round(generator.random(), 4)
            entries.append({"label": label, "score": score, "segment": ends.round(3).tolist()})
        results[key] = entries
    return results


def main(argv):
    del argv
    truth = ground_truth.load_truth(GROUND_TRUTH.value, SUBSET.value)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "predictions.json")
        predictions.save(path, made_up(truth.videos, PREDICTIONS.value, 0))
        print(f"{path.stat().st_size / 1e6:.0f} MB of predictions")
        with timed("read annotations and predictions"):
            truth = ground_truth.load_truth(GROUND_TRUTH.value, SUBSET.value)
            found, classes = truth.count(ground_truth.load_predictions(path, truth))
    print(
        f"{len(found.score)} predictions, {len(truth.instances.score)} instances,"
        f" {len(truth.videos)} videos"
    )
    with timed("mAP, AR@AN, AUC"):
        metrics.evaluate(truth.instances, found, classes, metrics.TIOUS_ACTIVITYNET)
    with timed("diagnosis"):
        kept = truth.instances.take(diagnosis.sound(truth.instances, truth.durations))
        kinds = buckets.buckets(buckets.characteristics(kept, truth.durations), "activitynet")
        diagnosis.diagnose(kept, found, classes, metrics.TIOUS_ACTIVITYNET, kinds)
    if RESAMPLES.value:
        with timed(f"bootstrap of one file, {RESAMPLES.value} draws"):
            times = bootstrap.draws(len(truth.videos), RESAMPLES.value, 0)
            bootstrap.mean_precisions(
                truth.instances, found, classes, metrics.TIOUS_ACTIVITYNET, times
            )
    suppression(64)


def suppression(videos):
    """All 5,050 segments of 100 snippets to the best 100, videos one by one and eight at a time."""
    start, end = np.triu_indices(100)
    segments = np.stack([start, end + 1], axis=1) / 100
    scores = np.random.default_rng(0).random((videos, len(segments)))
    found = [Proposals(segments, one) for one in scores]
    how = Suppression("gaussian", 0.84, 0.5, 0.0, 100)
    suppress(found[:1], how)
    for size in (1, 8):
        batches = [found[i : i + size] for i in range(0, videos, size)]
        cpu = time.process_time()
        for batch in batches:
            suppress(batch, how)
        spent = 1000 * (time.process_time() - cpu) / videos
        print(
            f"soft-NMS of {len(segments)} proposals to 100, {size} at a time: {spent:.2f} ms of a"
            " core a video"
        )


if __name__ == "__main__":
    app.run(main)
