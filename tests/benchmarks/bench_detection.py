"""Videos a second of the stage detect, from features on disk to the final JSON: G-TAD at L = 100,
fresh weights.

python tests/benchmarks/bench_detection.py --videos=4728

Features are noise, so more anchors are proposals than after training; the labels come from a file
of class scores. What JAX compiles is timed by itself, before.
"""

import json
import pathlib
import tempfile
import time

import jax
import numpy as np
from absl import app, flags

from lofi_jax.config import defaults, rows_of, typed
from lofi_jax.data.annotations import activitynet
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.features.padded_batches import feature_batches
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.detection.proposals import suppress
from lofi_jax.jobs import detection
from lofi_jax.run import checkpoints, datasets, features
from lofi_jax.run.networks import make_head
from lofi_jax.run.start import Run
from lofi_jax.run.workdir import Workdir
from lofi_jax.training.checkpoints import save_state
from lofi_jax.training.sharding import make_mesh

VIDEOS = flags.DEFINE_integer("videos", 4728, "How many; ActivityNet's validation has 4,728.")
CHANNELS = flags.DEFINE_integer("channels", 512, "Of the features; TSM-ResNet-18 has 512.")
BATCH = flags.DEFINE_integer("batch_size", 8, "Videos a head sees at once.")
CLASSES = 200


def prepare(folder: pathlib.Path, count: int) -> Run:
    """A workdir in which everything up to the stage head is done."""
    config = defaults()
    config.rows = "external"
    config.data.annotations, config.data.feature_dirs = str(folder / "annotations.json"), "none"
    config.data.test_subset = "validation"
    config.classifier.file = str(folder / "scores.json")
    config.detect.batch_size = BATCH.value
    config = typed(config)
    run = Run(config, Workdir(folder), make_mesh(1, 1))
    (row,) = rows_of(config)

    names = tuple(f"class {i:03}" for i in range(CLASSES))
    one = np.array([[10.0, 50.0]])
    videos = [
        Video(f"v{i:05}", "validation", 120.0, one, (names[i % CLASSES],)) for i in range(count)
    ]
    training = [Video(f"t{i:05}", "training", 120.0, one, (name,)) for i, name in enumerate(names)]
    activitynet.save(folder / "annotations.json", [*training, *videos])
    generator = np.random.default_rng(0)
    scores = {v.video_id: generator.dirichlet(np.full(CLASSES, 0.05)).tolist() for v in videos}
    (folder / "scores.json").write_text(json.dumps({"class": names, "results": scores}))
    store = FeatureStore(run.workdir.features(row.encoder))
    store.begin(row.encoder, features.fingerprint(run, row.encoder))
    for video in videos:
        noise = generator.normal(size=(config.data.snippets, CHANNELS.value)).astype(np.float32)
        store.write(video.video_id, noise)
    store.finish([videos[0].video_id])
    module = make_head(config, row.head, CLASSES)
    shape = (1, config.data.snippets, CHANNELS.value)
    params = jax.jit(module.init)(jax.random.key(0), np.zeros(shape, np.float32))["params"]
    save_state(checkpoints.of_head(run, row), {"head": params}, {})
    return run


def main(argv):
    del argv
    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", f"{folder}/cache")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        run = prepare(pathlib.Path(folder), VIDEOS.value)
        (row,) = rows_of(run.config)
        test_videos = datasets.target(run).test_videos
        videos = features.of_videos(run, row.encoder, test_videos, standardise=True)
        propose = detection.proposer(run, row, CLASSES)
        batch, count = next(iter(feature_batches(videos, BATCH.value)))
        started = time.perf_counter()
        outputs = jax.block_until_ready(propose._apply(batch))
        print(
            f"{jax.devices()[0].device_kind}: first batch, compilation included:"
            f" {time.perf_counter() - started:.1f} s"
        )
        started = time.perf_counter()
        jax.block_until_ready(propose._apply(batch))
        print(f"head: {1000 * (time.perf_counter() - started) / count:.1f} ms a video")
        outputs = jax.tree.map(np.asarray, outputs)
        started = time.perf_counter()
        found = propose._head.proposals(outputs)
        suppress(found, propose._settings.suppression)
        spent = 1000 * (time.perf_counter() - started) / count
        print(
            f"after it: {spent:.1f} ms a video ({np.mean([len(one.scores) for one in found]):.0f}"
            " proposals)"
        )

        started = time.perf_counter()
        detection.detect_in_test_videos(run, row)
        spent = time.perf_counter() - started
        written = json.loads(run.workdir.detections(row).read_text())["results"]
        assert len(written) == VIDEOS.value and all(len(one) == 100 for one in written.values())
        rate = VIDEOS.value / spent
        print(f"features to JSON: {VIDEOS.value} videos in {spent:.1f} s, {rate:.1f} videos/s")
        if VIDEOS.value != 4728:
            print(f"at that rate ActivityNet's 4,728 take {4728 / rate:.0f} s (extrapolated)")


if __name__ == "__main__":
    app.run(main)
