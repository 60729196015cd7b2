"""What a dataset will take on disk, told before it is made."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
from small_videos import annotated, save_annotations, write_video

from lofi_jax.data.annotations import activitynet
from lofi_jax.data.ingest import video_folder
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import dataset, disk, records
from lofi_jax.errors import UserError


@pytest.fixture
def jobs(shared_data, tmp_path):
    names = ("arm_wrestling", "bikes", "test_340x256")
    database = {name: annotated("training", (1, 2, "play")) for name in names}
    parsed = activitynet.load(save_annotations(tmp_path / "a.json", database))
    return video_folder.match(parsed, video_folder.find_videos(shared_data / "videos"))["training"]


@pytest.mark.parametrize("rate", [0.0, 1.5])
def test_the_estimate_is_near_what_is_written(jobs, shared_data, tmp_path, rate):
    sampling = Sampling(10, 2, 4, 128, 90, rate)
    told = disk.estimate(jobs, sampling)
    builder, _ = dataset.build(
        "x", shared_data / "videos", tmp_path / "a.json", tmp_path / "data", sampling
    )
    written = int(builder.info.splits["training"].num_bytes)
    assert told.videos == 3
    assert told.size == pytest.approx(written, rel=0.25)
    # With a fixed number of snippets the videos' headers are not all read: some stand for all.
    assert told.hours == pytest.approx(30 / 3600, rel=0.05)
    assert f"{told.size / told.hours / 1e9:.2f} GB of disk an hour of video" in str(told)


def test_a_longer_video_takes_more_at_a_rate_only(tmp_path):
    for name, frames in (("short", 20), ("long", 60)):
        write_video(tmp_path / f"{name}.mp4", frames)

    def size(name, rate):
        video = activitynet.Video(name, "test", None, np.zeros((0, 2)), ())
        job = video_folder.Job(video, tmp_path / f"{name}.mp4", 0, 0)
        return disk.estimate([job], Sampling(10, 1, 0, 16, 90, rate)).size

    assert size("long", 0.0) == pytest.approx(size("short", 0.0), rel=0.1)
    assert size("long", 5.0) == pytest.approx(3 * size("short", 5.0), rel=0.1)


def test_videos_that_cannot_be_read_take_nothing(tmp_path):
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    video = activitynet.Video("torn", "test", None, np.zeros((0, 2)), ())
    job = video_folder.Job(video, tmp_path / "torn.mp4", 0, 0)
    for rate in (0.0, 1.0):
        assert disk.estimate([job], Sampling(snippets_per_second=rate)).size == 0


def test_too_small_a_disk_is_said_before_a_video_is_decoded(tmp_path, monkeypatch):
    write_video(tmp_path / "videos" / "one.mp4", 20)
    path = save_annotations(tmp_path / "a.json", {"one": annotated("test", (0, 1, "run"))})
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10**6, 10**6 - 999, 999))
    seen, sampling = [], Sampling(5, 2, 0, 16)
    with pytest.raises(UserError, match="GB are needed and 0.0 GB are free: free some"):
        dataset.build(
            "x",
            tmp_path / "videos",
            path,
            tmp_path / "data",
            sampling,
            dataset.Work(1),
            lambda *done: seen.append(done),
        )
    assert seen == [(0, 1)]
    with pytest.raises(UserError, match="no such dataset"):
        records.load(tmp_path / "data", "x", sampling)
