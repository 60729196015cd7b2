"""Datasets made from small videos with numbered frames: what is stored, and what bad input gets."""

import concurrent.futures
import json
import os
import pathlib
import pickle
import resource
import shutil
import signal
import subprocess
import sys

import commands
import cv2
import grain
import numpy as np
import pytest
from small_videos import annotated, contents, save_annotations, write_video

from lofi_jax.data.ingest import annotate, video_folder
from lofi_jax.data.ingest.sampling import Sampling, read_record
from lofi_jax.data.prepared import dataset, records, shards
from lofi_jax.data.prepared.dataset import Work
from lofi_jax.data.video import jpeg
from lofi_jax.errors import UserError

SAMPLING = Sampling(snippets=5, frames=2, stride=0, short_side=16, quality=90)


@pytest.fixture
def videos(tmp_path) -> pathlib.Path:
    folder = tmp_path / "videos"
    write_video(folder / "v_one.mp4", 40)
    write_video(folder / "deep" / "class" / "two.mkv", 20, height=48, width=32)
    write_video(folder / "three.AVI", 50)
    write_video(folder / "four.webm.mp4", 10)
    (folder / "torn.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def annotations(tmp_path) -> pathlib.Path:
    database = {
        "one": annotated("training", (1 / 3, 2.0, "run"), (1, 9, "jump"), (4.5, 9, "run")),
        "gone": annotated("training", (0, 1, "swim")),
        "two": annotated("training", (0.5, 1.5, "run"), duration=2.0),
        "torn": annotated("validation", (0, 1, "run")),
        "three": annotated("validation", duration=60.0),
    }
    return save_annotations(tmp_path / "annotations.json", database)


def greys(record) -> list[int]:
    images = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1) for jpeg in record.frames]
    assert {p.shape for p in images} == {(record.height, record.width, 3)}
    return [round(float(image.mean()) / 4) for image in images]


def test_each_video_becomes_a_record(videos, annotations, tmp_path):
    builder, _ = dataset.build("hacs", videos, annotations, tmp_path / "data", SAMPLING)
    assert builder.data_dir == str(tmp_path / "data/hacs/5x2_stride0_16px_q90/2.0.0")
    assert records.class_names(builder) == ("jump", "run", "swim")
    training, validation = (records.Records(builder, s) for s in ("training", "validation"))
    assert (len(training), len(validation)) == (2, 1)
    one, two = training[0], training[1]
    assert (one.video_id, one.duration, one.fps) == ("one", 4.0, 10.0)
    assert greys(one) == [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]
    assert (one.height, one.width) == (16, 24)
    assert one.segments.dtype == np.float64
    assert one.segments.tolist() == [[1 / 3, 2.0], [1.0, 4.0]]
    assert one.labels.tolist() == [1, 0]
    assert greys(two) == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    assert (two.height, two.width) == (24, 16)
    assert validation[0].video_id == "three"
    assert validation[0].segments.shape == (0, 2) and validation[0].labels.shape == (0,)


def test_the_report_names_all_that_was_wrong(videos, annotations, tmp_path):
    builder, report = dataset.build("hacs", videos, annotations, tmp_path / "data", SAMPLING)
    assert report.videos == {"training": 2, "validation": 1}
    assert report.problems[video_folder.MISSING] == ("gone",)
    assert report.problems[video_folder.UNANNOTATED] == ("four.webm.mp4",)
    assert report.problems[annotate.CLIPPED] == ("one: 1.0 to 9.0 of 4.00 s",)
    assert report.problems[annotate.OUTSIDE] == ("one: 4.5 to 9.0 of 4.00 s",)
    assert report.problems[annotate.SHORTER] == ("three: 5.00 of 60.00 s",)
    (torn,) = report.problems[annotate.UNREADABLE]
    assert torn.startswith("torn: ") and "torn.mp4" in torn
    saved = json.loads(pathlib.Path(builder.data_dir, "report.json").read_text())
    assert saved["videos"] == report.videos
    assert {key: tuple(value) for key, value in saved["problems"].items()} == report.problems
    assert saved["counts"][video_folder.MISSING] == 1
    assert "3 videos (2 in training, 1 in validation)" in report.summary()
    assert "1 annotated videos missing from the folder: gone" in report.summary()


def test_any_file_is_read_as_a_dataset_would_hold_it(videos, annotations, tmp_path):
    builder, _ = dataset.build("x", videos, annotations, tmp_path, SAMPLING)
    stored = records.Records(builder, "training")[1]
    record, broken = read_record(videos / "deep" / "class" / "two.mkv", SAMPLING)
    assert broken == ""
    for name in ("video_id", "size", "duration", "fps"):
        assert getattr(record, name) == getattr(stored, name)
    assert record.frames == list(stored.frames)
    assert record.segments.shape == (0, 2) and record.labels.shape == (0,)


def test_at_a_rate_a_longer_video_has_more_snippets(videos, annotations, tmp_path):
    sampling = Sampling(100, 2, 0, 16, 90, snippets_per_second=1.25)
    builder, _ = dataset.build("x", videos, annotations, tmp_path, sampling)
    assert builder.data_dir.endswith("x/rate1.25x2_stride0_16px_q90/2.0.0")
    one, two = records.Records(builder, "training")
    # Four and two seconds: 5 snippets, and 2.5 of which the last half shows the last frame.
    assert greys(one) == [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]
    assert greys(two) == [2, 6, 10, 14, 18, 19]
    (three,) = records.Records(builder, "validation")
    assert len(three.frames) == 2 * 7


def test_only_the_snippets_asked_for_are_read(videos, annotations, tmp_path, monkeypatch):
    builder, _ = dataset.build("x", videos, annotations, tmp_path, SAMPLING)
    stored = records.Records(builder, "training")
    read, snippet = [], stored.snippet
    monkeypatch.setattr(
        stored, "snippet", lambda split, number: read.append(number) or snippet(split, number)
    )
    frames = stored[1].frames
    assert len(frames) == 10 and not read
    everything = list(records.Records(builder, "training")[1].frames)
    assert [frames[2], frames[3], frames[-1]] == [everything[i] for i in (2, 3, 9)]
    # The second video's snippets follow the first one's five.
    assert read == [6, 9]
    wanted, size, crop = np.array([4, 7, 6, 9]), (24, 16), jpeg.Crop(0, 0, 1, 1)
    found, expected = np.empty((2, 4, 24, 16, 3), np.uint8)
    frames.read(wanted, size, crop, found)
    jpeg.decode([everything[i] for i in wanted], size, crop, expected)
    np.testing.assert_array_equal(found, expected)
    assert read == [6, 9, 7, 8, 9]
    with pytest.raises(IndexError):
        frames[10]


def test_a_broken_video_is_used_up_to_the_break(shared_data, tmp_path):
    path = save_annotations(
        tmp_path / "a.json",
        {"corrupted": annotated("test", (1, 3, "slip"), (3, 4, "fall"), duration=5.0)},
    )
    builder, report = dataset.build("x", shared_data / "videos", path, tmp_path, SAMPLING)
    record = records.Records(builder, "test")[0]
    assert record.duration == pytest.approx(2.8)
    assert record.segments == pytest.approx(np.array([[1.0, 2.8]]))
    assert report.problems[annotate.BROKEN] == ("corrupted: decodes up to 2.80 of 5.00 s",)


def test_the_bytes_do_not_depend_on_workers_or_shards(videos, annotations, tmp_path, monkeypatch):
    for workers in (1, 3):
        dataset.build("x", videos, annotations, tmp_path / str(workers), SAMPLING, Work(workers))
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    builder, _ = dataset.build("x", videos, annotations, tmp_path / "shards", SAMPLING)
    assert builder.info.splits["validation"].shard_lengths == [0, 5]
    whole = records.load(tmp_path / "1", "x", SAMPLING)
    for split in ("training", "validation"):
        a, b = records.Records(builder, split), records.Records(whole, split)
        assert [list(r.frames) for r in a] == [list(r.frames) for r in b]
        assert [r.video_id for r in a] == [r.video_id for r in b]


def test_what_is_made_is_found_again(videos, annotations, tmp_path):
    seen = []
    for _ in range(2):
        builder, report = dataset.build(
            "x", videos, annotations, tmp_path, SAMPLING, Work(2), lambda *done: seen.append(done)
        )
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert report.videos == {"training": 2, "validation": 1}
    loaded = records.load(tmp_path, "x", SAMPLING)
    assert records.Records(loaded, "training")[1].video_id == "two"
    other = Sampling(5, 2, 0, 16, 91)
    dataset.build("x", videos, annotations, tmp_path, other)
    assert len(seen) == 5 and records.load(tmp_path, "x", other).data_dir != loaded.data_dir


def test_labels_do_not_depend_on_which_videos_are_there(videos, annotations, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    (few / "two.mkv").symlink_to(videos / "deep" / "class" / "two.mkv")
    everything, _ = dataset.build("x", videos, annotations, tmp_path / "all", SAMPLING)
    builder, _ = dataset.build("x", few, annotations, tmp_path / "few_data", SAMPLING)
    assert (
        records.class_names(builder) == records.class_names(everything) == ("jump", "run", "swim")
    )
    (two,) = records.Records(builder, "training")
    assert two.labels.tolist() == records.Records(everything, "training")[1].labels.tolist()


def test_records_feed_grain_and_travel_to_its_workers(videos, annotations, tmp_path):
    builder, _ = dataset.build("x", videos, annotations, tmp_path, SAMPLING)
    stored = pickle.loads(pickle.dumps(records.Records(builder, "training")))
    ids = grain.MapDataset.source(stored).map(lambda record: record.video_id)
    assert list(ids) == ["one", "two"]
    assert stored[-1].video_id == "two"
    with pytest.raises(IndexError):
        stored[2]


def test_other_input_is_refused_by_name(videos, annotations, tmp_path):
    def build():
        return dataset.build("x", videos, annotations, tmp_path / "data", SAMPLING)

    build()
    (videos / "v_one.mp4").rename(videos / "one.mov")
    with pytest.raises(UserError, match=r"1 videos more \(one.mov\), 1 videos fewer \(v_one.mp4\)"):
        build()
    (videos / "one.mov").rename(videos / "v_one.mp4")
    with open(videos / "v_one.mp4", "ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match=r"1 videos changed \(v_one.mp4\)"):
        build()
    write_video(videos / "v_one.mp4", 40)
    write_video(videos / "extra.mp4", 40)
    save_annotations(annotations, {"extra": annotated("training", (1, 2, "run"))})
    with pytest.raises(UserError, match=r"another annotation file, 1 videos more \(extra.mp4\)"):
        build()


KILLED = """
import os, signal, sys
from lofi_jax.data.prepared import dataset
from lofi_jax.data.ingest.sampling import Sampling

def progress(done, total):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

videos, annotations, data = sys.argv[1:]
sampling = Sampling(5, 2, 0, 16, 90)
dataset.build("x", videos, annotations, data, sampling, dataset.Work(2), progress)
"""


def test_a_killed_build_leaves_nothing_that_counts(videos, annotations, tmp_path):
    command = [sys.executable, "-c", KILLED, str(videos), str(annotations), str(tmp_path / "data")]
    root = commands.ROOT
    assert subprocess.run(command, cwd=root, check=False).returncode == -signal.SIGKILL
    with pytest.raises(UserError, match="no such dataset; python -m lofi_jax.prepare --dataset=x"):
        records.load(tmp_path / "data", "x", SAMPLING)
    assert list((tmp_path / "data").rglob("unfinished*/data/*.tmp"))
    dataset.build("x", videos, annotations, tmp_path / "data", SAMPLING)
    dataset.build("x", videos, annotations, tmp_path / "unbroken", SAMPLING)
    assert contents(tmp_path / "data") == contents(tmp_path / "unbroken")


class Killed(BaseException):
    """What ends a program anywhere."""


def test_a_build_killed_after_its_dataset_has_its_name_has_made_the_report(
    videos, annotations, tmp_path, monkeypatch
):
    given = "anet", videos, annotations, tmp_path / "data", SAMPLING

    def killed(self):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(shards.Writer, "discard", killed)
        dataset.build(*given)
    folder = records.folder_of(tmp_path / "data", "anet", SAMPLING)
    (folder / f".{'0' * 32}.tmp").touch()  # as a killed relinking leaves it
    _, report = dataset.build(*given)
    assert json.loads((folder / "report.json").read_text()) == json.loads(
        json.dumps(report.to_json())
    )
    assert [path.name for path in folder.parent.rglob("*") if path.suffix == ".tmp"] == []
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_folder_that_is_deleted_meanwhile_is_one_line(videos, annotations, tmp_path, monkeypatch):
    def deleted(writer, *_):
        shutil.rmtree(writer.folder, ignore_errors=True)

    monkeypatch.setattr(dataset, "_write_shards", deleted)
    with pytest.raises(UserError, match="was deleted or changed while the dataset was made: run"):
        dataset.build("anet", videos, annotations, tmp_path / "data", SAMPLING)


def test_finished_shards_are_kept_unless_their_input_changed(
    videos, annotations, tmp_path, monkeypatch
):
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    seen = []

    def build(stop_after, data="data"):
        def progress(done, total):
            seen.append((done, total))
            if done == stop_after:
                raise KeyboardInterrupt

        return dataset.build("x", videos, annotations, tmp_path / data, SAMPLING, Work(1), progress)

    def notes():
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("finished/*.json")}

    with pytest.raises(KeyboardInterrupt):
        build(stop_after=3)
    made = notes()
    assert sorted(made) == [f"x-training.array_record-0000{i}-of-00002.json" for i in range(2)]
    with pytest.raises(KeyboardInterrupt):
        build(stop_after=4)
    # torn.mp4 came between: its shard, of no example, is finished too.
    assert len(notes()) == 3 and notes().items() >= made.items()
    assert seen[4:6] == [(2, 4), (3, 4)]
    write_video(videos / "v_one.mp4", 35)
    del seen[:]
    build(stop_after=None)
    assert seen == [(2, 4), (3, 4), (4, 4)]
    build(stop_after=None, data="unbroken")
    assert contents(tmp_path / "data") == contents(tmp_path / "unbroken")
    assert not list(tmp_path.rglob("unfinished*"))


def test_two_builds_at_once_make_it_once(videos, annotations, tmp_path):
    seen = []

    def build(_):
        return dataset.build(
            "x", videos, annotations, tmp_path, SAMPLING, Work(1), lambda *done: seen.append(done)
        )[1]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = pool.map(build, range(2))
    assert first == second and len(seen) == 5


@pytest.fixture
def files_of_60_kb():
    """No file can grow beyond that: to a writer it looks like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_leaves_nothing(videos, annotations, tmp_path, files_of_60_kb):
    with pytest.raises(UserError, match="cannot be written .File too large"):
        dataset.build("x", videos, annotations, tmp_path / "data", SAMPLING)
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_a_place_that_cannot_be_written_is_said(videos, annotations, tmp_path):
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(UserError, match="data/x.* cannot be written"):
        dataset.build("x", videos, annotations, tmp_path / "data", SAMPLING)


def test_no_usable_video_is_an_error(videos, annotations, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        dataset.build("x", tmp_path / "nowhere", annotations, tmp_path, SAMPLING)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="none of the 5 annotated videos.*one, gone, two"):
        dataset.build("x", tmp_path / "none", annotations, tmp_path, SAMPLING)
    save_annotations(annotations, {"torn": annotated("training", (0, 1, "run"))})
    with pytest.raises(UserError, match="none of the 1 videos can be used: torn"):
        dataset.build("x", videos, annotations, tmp_path / "data", SAMPLING)
    with pytest.raises(UserError, match="no such dataset"):
        records.load(tmp_path / "data", "x", SAMPLING)


def test_a_subset_without_a_usable_video_is_no_split(videos, tmp_path):
    path = save_annotations(
        tmp_path / "a.json",
        {
            "one": annotated("training", (0, 1, "run")),
            "torn": annotated("validation", (0, 1, "run")),
            "gone": annotated("testing", (0, 1, "run")),
        },
    )
    builder, report = dataset.build("x", videos, path, tmp_path, SAMPLING)
    assert report.videos == {"training": 1, "validation": 0}
    for split in ("validation", "testing", "training[:1]"):
        with pytest.raises(UserError, match="no videos of subset .*1 in 'training'"):
            records.Records(builder, split)


def test_a_subset_that_cannot_name_a_split_is_an_error(videos, tmp_path):
    for subset in ("my videos", "all", ""):
        path = save_annotations(tmp_path / "a.json", {"one": annotated(subset, (0, 1, "run"))})
        with pytest.raises(UserError, match=f"subset '{subset}' cannot name a split"):
            dataset.build("x", videos, path, tmp_path, SAMPLING)


@pytest.mark.parametrize(
    "change",
    [
        {"snippets": 0},
        {"stride": -1},
        {"quality": 101},
        {"short_side": 0},
        {"snippets_per_second": -1.0},
    ],
)
def test_impossible_samplings_are_refused(change):
    with pytest.raises(UserError, match=next(iter(change))):
        Sampling(**change)


def test_the_least_deep_file_of_a_name_is_taken(tmp_path):
    for place in ("b/v_x.mp4", "a/a/v_x.mp4", "a/v_x.txt", "y.mov"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    os.symlink(tmp_path / "a", tmp_path / "linked")
    found = video_folder.find_videos(tmp_path)
    assert found == {"v_x": tmp_path / "b/v_x.mp4", "y": tmp_path / "y.mov"}


def test_the_annotations_of_a_split_can_be_read_without_its_frames(videos, annotations, tmp_path):
    builder, _ = dataset.build("hacs", videos, annotations, tmp_path / "data", SAMPLING)
    classes = records.class_names(builder)
    for split in ("training", "validation"):
        stored = records.Records(builder, split)
        for video, record in zip(records.videos(builder, split), stored, strict=True):
            assert video.video_id == record.video_id
            assert video.duration == record.duration
            np.testing.assert_array_equal(video.segments, record.segments.reshape(-1, 2))
            assert video.labels == tuple(classes[i] for i in record.labels)
