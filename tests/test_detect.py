"""Detection by batches and threads, and what makes it be done again."""

import json
import shutil

import numpy as np
import pytest

from lofi_jax import config as configs
from lofi_jax.config import rows_of
from lofi_jax.data.features.padded_batches import feature_batches
from lofi_jax.run import made_from
from lofi_jax.run.workdir import Run, feature_width
from lofi_jax.stages import detect


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
    return Run(configs.from_json((workdir / "config.json").read_text()), workdir, None)


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
    propose = detect.Proposer(work, row, 6)
    rng = np.random.default_rng(0)
    width = feature_width(work.config)
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
    propose = detect.Proposer(work, rows_of(work.config)[-1], 6)
    propose._suppression = propose._suppression._replace(method="soft")
    width = feature_width(work.config)
    videos = Videos(np.zeros((16, width), np.float32) for _ in range(3))
    with pytest.raises(ValueError, match="unknown NMS method"):
        list(propose.all(feature_batches(videos, 2)))


def test_detections_are_made_again_only_when_what_they_come_from_changes(work):
    row = rows_of(work.config)[0]
    path = detect.path(work, row)
    path.unlink()
    detect.run(work, row)
    before = path.read_text()
    written = path.stat().st_mtime_ns
    detect.run(work, row)
    assert path.stat().st_mtime_ns == written
    with work.config.unlocked():
        work.config.head_checkpoint = str(work.workdir / "heads" / row.name / "checkpoints" / "3")
    detect.run(work, row)
    assert path.read_text() != before
    work.config.head_checkpoint = ""
    detect.run(work, row)
    assert path.read_text() == before


def test_other_suppression_by_config(work):
    row = rows_of(work.config)[0]
    results = []
    for settings in ({"nms_threshold": 0.1}, {"nms": "hard"}, {"nms": "linear"}, {"vote": 0.5}):
        work.config.detect.update(settings | {"top_k": 30})
        shutil.rmtree(detect.path(work, row).parent)
        detect.run(work, row)
        results.append(detect.path(work, row).read_text())
        assert all(len(v) <= 30 for v in json.loads(results[-1])["results"].values())
    assert len(set(results)) == 4


def test_thresholds_by_dataset_and_by_config(work):
    detected = rows_of(work.config)
    assert len(detected) == 2
    assert len(detect.evaluate(work)["rows"][0]["mAP"]) == 10
    work.config.dataset = "thumos14"
    np.testing.assert_allclose(configs.tious(work.config), [0.3, 0.4, 0.5, 0.6, 0.7])
    work.config.dataset, work.config.evaluate.tious = "synthetic", "0.3:0.2:0.7"
    rows = detect.evaluate(work)["rows"]
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
