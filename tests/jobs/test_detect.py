"""Detection by batches and threads, and what makes it be done again."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from keys import changed

from lofi_jax import config as configs
from lofi_jax.config import rows_of
from lofi_jax.data.features.padded_batches import feature_batches
from lofi_jax.jobs import detection
from lofi_jax.run import made_from
from lofi_jax.run import networks as run_networks
from lofi_jax.run.start import Run
from lofi_jax.run.workdir import Workdir
from lofi_jax.training.networks import feature_width
from lofi_jax.training.sharding import make_mesh


class Videos(list):
    """Features in place of those on disk."""

    def __getitem__(self, i):
        return {"features": super().__getitem__(i)}


@pytest.fixture
def work(finished_run):
    """A copy of a finished run, as the stages see it."""
    unbroken, _ = finished_run
    workdir = unbroken.with_name("detect")
    shutil.rmtree(workdir, ignore_errors=True)
    shutil.copytree(unbroken, workdir)
    config = configs.from_json((workdir / "config.json").read_text())
    return Run(config, Workdir(workdir), make_mesh(1, 1))


def with_keys(run, **changes):
    """The run with other values of its config, by dotted key."""
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return dataclasses.replace(run, config=changed(run.config, changes))


def width_of(run):
    """Channels of the run's features."""
    encoder, shape = run_networks.make_encoder(run.config), run_networks.snippet_shape(run.config)
    return feature_width(encoder, shape)


def test_batches_have_one_size_and_miss_no_video():
    videos = Videos(np.full((2, 3), i, np.float32) for i in range(7))
    batches = list(feature_batches(videos, 3))
    assert [(batch.shape, count) for batch, count in batches] == [((3, 2, 3), 3)] * 2 + [
        ((3, 2, 3), 1)
    ]
    seen = [batch[:count, 0, 0].tolist() for batch, count in batches]
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]
    assert [batch.shape for batch, _ in feature_batches(videos, 100)] == [(7, 2, 3)]
    assert list(feature_batches(Videos(), 3)) == []


def test_threads_and_batches_change_nothing(work):
    row = rows_of(work.config)[-1]
    propose = detection.proposer(work, row, 6)
    rng = np.random.default_rng(0)
    width = width_of(work)
    videos = Videos(rng.normal(size=(16, width)).astype(np.float32) for _ in range(11))
    sequential = [found for part in propose.all(feature_batches(videos, 4), 1) for found in part]
    threaded = [found for part in propose.all(feature_batches(videos, 4), 3) for found in part]
    alone = [propose(videos[i]["features"], 1.0) for i in range(len(videos))]
    assert len(sequential) == len(threaded) == 11
    for one, other, single in zip(sequential, threaded, alone, strict=True):
        np.testing.assert_array_equal(one.segments, other.segments)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_allclose(one.scores, single.scores, rtol=1e-4)


def test_a_thread_that_fails_ends_the_detection(work):
    propose = detection.proposer(work, rows_of(work.config)[-1], 6)
    soft = propose._settings.suppression._replace(method="soft")
    propose._settings = dataclasses.replace(propose._settings, suppression=soft)
    width = width_of(work)
    videos = Videos(np.zeros((16, width), np.float32) for _ in range(3))
    with pytest.raises(ValueError, match="unknown NMS method"):
        list(propose.all(feature_batches(videos, 2)))


def test_detections_are_made_again_only_when_what_they_come_from_changes(work):
    row = rows_of(work.config)[0]
    path = work.workdir.detections(row)
    path.unlink()
    detection.detect_in_test_videos(work, row)
    before = path.read_text()
    written = path.stat().st_mtime_ns
    detection.detect_in_test_videos(work, row)
    assert path.stat().st_mtime_ns == written
    other = with_keys(work, head_checkpoint=str(work.workdir.head(row) / "checkpoints" / "3"))
    detection.detect_in_test_videos(other, row)
    assert path.read_text() != before
    detection.detect_in_test_videos(work, row)
    assert path.read_text() == before


def test_other_suppression_by_config(work):
    row = rows_of(work.config)[0]
    results = []
    keys = {"detect__top_k": 30, "detect__nms_threshold": 0.1}
    for change in ({}, {"nms": "hard"}, {"nms": "linear"}, {"vote": 0.5}):
        keys |= {f"detect__{key}": value for key, value in change.items()}
        other = with_keys(work, **keys)
        shutil.rmtree(work.workdir.detections(row).parent)
        detection.detect_in_test_videos(other, row)
        results.append(work.workdir.detections(row).read_text())
        assert all(len(v) <= 30 for v in json.loads(results[-1])["results"].values())
    assert len(set(results)) == 4


def test_thresholds_by_dataset_and_by_config(work):
    detected = rows_of(work.config)
    assert len(detected) == 2
    assert len(detection.evaluate(work)["rows"][0]["mAP"]) == 10
    thumos = with_keys(work, dataset="thumos14")
    np.testing.assert_allclose(configs.tious(thumos.config), [0.3, 0.4, 0.5, 0.6, 0.7])
    rows = detection.evaluate(with_keys(work, evaluate__tious="0.3:0.2:0.7"))["rows"]
    assert list(rows[0]["mAP"]) == ["0.30", "0.50", "0.70"]
    assert list(rows[0]["class_agnostic"]["mAP"]) == ["0.30", "0.50", "0.70"]


def test_a_stamp_is_of_the_sources_as_they_were(tmp_path):
    made, source = tmp_path / "made.json", tmp_path / "source"
    source.mkdir()
    (source / "part").write_text("1")
    sources = {"source": source}
    assert not made_from.is_made_from(made, sources)
    made_from.stamp(made, sources, lambda: made.write_text("made"))
    assert made_from.is_made_from(made, sources)
    assert not made_from.is_made_from(made, {"source": tmp_path / "other"})
    (source / "more").write_text("2")
    assert not made_from.is_made_from(made, sources)

    def killed():
        made.write_text("half")
        raise KeyboardInterrupt

    made_from.stamp(made, sources, lambda: made.write_text("made"))
    with pytest.raises(KeyboardInterrupt):
        made_from.stamp(made, sources, killed)
    assert not made_from.is_made_from(made, sources)
    made_from.stamp(made, sources, lambda: made.write_text("made"))
    made.unlink()
    assert not made_from.is_made_from(made, sources)
