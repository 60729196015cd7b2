import json
import os

import numpy as np
import pytest

from lofi_jax.data.annotations import activitynet
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.errors import UserError
from lofi_jax.results import ground_truth


def write(path, database, **extra):
    path.write_text(json.dumps({"version": "1", "database": database, **extra}))
    return path


def video(*segments, subset="training", duration=20.0):
    entries = [{"segment": [start, end], "label": label} for start, end, label in segments]
    return {"subset": subset, "duration": duration, "annotations": entries}


def test_reads_what_is_there_in_its_order(tmp_path):
    database = {
        "b": video((1, 2.5, "run"), (0, 20, "jump")),
        "a": video((3, 4, "jump"), subset="validation", duration=None),
    }
    loaded = activitynet.load(write(tmp_path / "a.json", database))
    assert (loaded.version, list(loaded.videos)) == ("1", ["b", "a"])
    assert loaded.classes == ("jump", "run")
    first = loaded.videos["b"]
    assert (first.video_id, first.subset, first.duration) == ("b", "training", 20.0)
    assert first.labels == ("run", "jump")
    assert first.segments.dtype == np.float64
    assert first.segments.tolist() == [[1, 2.5], [0, 20]]
    assert loaded.videos["a"].duration is None
    assert list(loaded.subset("validation")) == ["a"]
    assert loaded.problems == {}
    assert loaded.problems == {}


def test_overlapping_classes_stay_side_by_side(tmp_path):
    database = {"v": video((1, 9, "Diving"), (1, 9, "CliffDiving"))}
    loaded = activitynet.load(write(tmp_path / "a.json", database)).videos["v"]
    assert loaded.labels == ("Diving", "CliffDiving")
    assert loaded.segments.tolist() == [[1, 9], [1, 9]]


BROKEN = [
    ((5.0, 5.0), None, activitynet.NOT_FORWARD),
    ((7.0, 5.0), None, activitynet.NOT_FORWARD),
    ((-2.0, 5.0), (0.0, 5.0), activitynet.BEFORE_START),
    ((15.0, 20.02), (15.0, 20.0), activitynet.PAST_END),
    ((15.0, 20.009), (15.0, 20.0), None),
    ((-3.0, -1.0), None, activitynet.OUTSIDE),
    ((20.0, 25.0), None, activitynet.OUTSIDE),
]


@pytest.mark.parametrize(("segment", "repaired", "reason"), BROKEN)
def test_repairs_segments_and_says_so(tmp_path, segment, repaired, reason):
    path = write(tmp_path / "a.json", {"v": video((1, 2, "run"), (*segment, "jump"))})
    loaded = activitynet.load(path)
    kept = [(1.0, 2.0)] + ([repaired] if repaired else [])
    assert loaded.videos["v"].segments.tolist() == [list(pair) for pair in kept]
    assert loaded.videos["v"].labels == ("run", "jump")[: len(kept)]
    assert list(loaded.problems) == ([reason] if reason else [])
    if reason:
        assert loaded.problems[reason][0].startswith(f"v[1]: {segment[0]} to {segment[1]}")


@pytest.mark.parametrize("segment", [segment for segment, _, _ in BROKEN])
def test_without_repair_segments_stay_as_written(tmp_path, segment):
    path = write(tmp_path / "a.json", {"v": video((*segment, "jump"))})
    loaded = activitynet.load(path, repair=False)
    assert loaded.videos["v"].segments.tolist() == [list(segment)]
    assert loaded.problems == {}


def test_a_video_of_unknown_duration_has_no_end_to_pass(tmp_path):
    path = write(tmp_path / "a.json", {"v": video((5, 1e6, "run"), duration=None)})
    loaded = activitynet.load(path)
    assert loaded.videos["v"].segments.tolist() == [[5, 1e6]]
    assert loaded.problems == {}


@pytest.mark.parametrize("duration", [0, -1.5, float("nan"), float("inf")])
def test_a_duration_that_is_none_is_ignored_and_counted(tmp_path, duration):
    loaded = activitynet.load(
        write(tmp_path / "a.json", {"v": video((5, 9, "run"), duration=duration)})
    )
    assert loaded.videos["v"].duration is None
    assert loaded.videos["v"].segments.tolist() == [[5, 9]]
    assert list(loaded.problems) == [activitynet.BAD_DURATION]


def test_videos_without_segments_are_counted(tmp_path):
    loaded = activitynet.load(write(tmp_path / "a.json", {"v": video(), "w": video((3, 3, "run"))}))
    assert loaded.problems[activitynet.NO_SEGMENTS] == ("v", "w")
    assert loaded.videos["w"].segments.shape == (0, 2)


def test_duplicate_ids_keep_the_first_and_are_counted(tmp_path):
    entries = [json.dumps(video((1, 2, label))) for label in ("run", "jump")]
    path = tmp_path / "a.json"
    path.write_text(f'{{"database": {{"v": {entries[0]}, "v": {entries[1]}}}}}')
    loaded = activitynet.load(path)
    assert loaded.videos["v"].labels == ("run",)
    assert loaded.problems == {activitynet.DUPLICATE: ("v",)}
    assert loaded.version == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("  \n", "the file is empty"),
        ('{"database": ', "not JSON (Expecting value: line 1 column 14"),
        ('{"database": ' + "9" * 5000 + "}", "not JSON (Exceeds the limit"),
        ("[" * 100000, "nested too deep"),
        ("[]", "no 'database' object"),
        ('{"results": {}}', "no 'database' object"),
        ('{"database": []}', "no 'database' object"),
        ('{"database": {}}', "holds no videos"),
    ],
)
def test_files_of_another_form(tmp_path, text, says):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        activitynet.load(path)
    assert str(caught.value).startswith(str(path)) and says in str(caught.value)
    assert "\n" not in str(caught.value)


def entry(**changes):
    return {"annotations": [{"segment": [1, 2], "label": "run"} | changes], "subset": "training"}


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ([], "video 'v' is not an object"),
        ({"annotations": []}, "video 'v': 'subset' is None"),
        ({"subset": "training"}, "video 'v': 'annotations' is not a list"),
        (entry() | {"duration": "20 s"}, "video 'v': 'duration' is '20 s'"),
        (entry() | {"annotations": [["run", 1, 2]]}, "video 'v', entry 0 is not an object"),
        (entry(segment=["1", "2"]), "video 'v', entry 0: 'segment' is ['1', '2']"),
        (entry(segment=[1]), "video 'v', entry 0: 'segment' is [1]"),
        (entry(segment=[1, float("nan")]), "video 'v', entry 0: 'segment' is [1, nan]"),
        (entry(segment=[1, 10**400]), "video 'v', entry 0: 'segment' is [1, 1000"),
        (entry(segment=[False, True]), "video 'v', entry 0: 'segment' is [False, True]"),
        (entry(label=3), "video 'v', entry 0: 'label' is 3"),
        (entry(label=""), "video 'v', entry 0: 'label' is ''"),
    ],
)
def test_wrong_shapes_name_file_video_and_entry(tmp_path, broken, says):
    path = write(tmp_path / "a.json", {"good": video((1, 2, "run")), "v": broken})
    with pytest.raises(UserError) as caught:
        activitynet.load(path)
    assert str(caught.value).startswith(f"{path}: {says}")


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"missing\.json: cannot be read \(No such file"):
        activitynet.load(tmp_path / "missing.json")
    with pytest.raises(UserError, match="cannot be read"):
        activitynet.load(tmp_path)
    path = tmp_path / "latin.json"
    path.write_bytes(b'{"database": {"\xff": 1}}')
    with pytest.raises(UserError, match="not text in UTF-8"):
        activitynet.load(path)
    huge = tmp_path / "huge.json"
    huge.touch()
    os.truncate(huge, 1_200_000_000)
    with pytest.raises(UserError, match=r"huge\.json: 1\.2 GB; at most 1 GB"):
        activitynet.load(huge)


def test_an_unknown_subset_names_those_there_are(tmp_path):
    path = write(tmp_path / "a.json", {"v": video((1, 2, "run")), "w": video(subset="test")})
    with pytest.raises(
        UserError, match=r"a\.json: no video is of subset 'val', only of 'test', 't"
    ):
        activitynet.load(path).subset("val")


def test_what_is_saved_is_loaded(tmp_path):
    videos = [
        Video("b", "train", 12.5, np.array([[0.1, 1 / 3]]), ("läuft",)),
        Video("a", "test", None, np.zeros((0, 2)), ()),
    ]
    path = tmp_path / "folder" / "a.json"
    activitynet.save(path, videos, version="mine")
    loaded = activitynet.load(path)
    assert loaded.version == "mine"
    for saved, back in zip(videos, loaded.videos.values(), strict=True):
        assert (back.video_id, back.subset, back.duration, back.labels) == (
            *(saved.video_id, saved.subset, saved.duration, saved.labels),
        )
        assert back.segments.tolist() == saved.segments.tolist()
    assert os.listdir(path.parent) == ["a.json"]


def test_saving_twins_is_refused(tmp_path):
    twin = Video("v", "train", 1.0, np.zeros((0, 2)), ())
    with pytest.raises(UserError, match="two videos are called 'v'"):
        activitynet.save(tmp_path / "a.json", [twin, twin])
    assert not os.listdir(tmp_path)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(UserError, match=r"a\.json: cannot be written"):
        activitynet.save(tmp_path / "a.json", [])
    assert os.listdir(tmp_path) == ["a.json"]
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        activitynet.save(tmp_path / "file" / "a.json", [])


def test_ground_truth_is_flat(tmp_path):
    database = {"v": video((1, 2, "run")), "w": video(), "x": video((3, 4, "jump"), (5, 6, "run"))}
    videos = activitynet.load(write(tmp_path / "a.json", database)).videos
    truth = ground_truth.ground_truth(videos, ("jump", "run", "swim"))
    assert truth.video.tolist() == [0, 2, 2]
    assert truth.label.tolist() == [1, 0, 1]
    assert truth.segment.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert truth.score.tolist() == [1, 1, 1]


def test_ground_truth_of_no_videos():
    truth = ground_truth.ground_truth({}, ())
    assert truth.segment.shape == (0, 2)
    assert len(truth.video) == len(truth.label) == 0


def test_activitynet(shared_data):
    loaded = activitynet.load(shared_data / "annotations" / "activitynet_1.3.json")
    assert len(loaded.videos) == 19228
    assert len(loaded.classes) == 200
    sizes = {name: len(loaded.subset(name)) for name in ("training", "validation", "testing")}
    assert sizes == {"training": 9649, "validation": 4728, "testing": 4851}
    counts = {reason: len(entries) for reason, entries in loaded.problems.items()}
    # The testing set's segments are secret, and ten videos' only segment is dropped.
    assert counts[activitynet.NOT_FORWARD] == 12
    assert counts[activitynet.PAST_END] == 13
    assert counts[activitynet.NO_SEGMENTS] == 4851 + 10
    assert set(counts) == {activitynet.NOT_FORWARD, activitynet.PAST_END, activitynet.NO_SEGMENTS}
    for one in loaded.videos.values():
        assert np.all(one.segments[:, 0] < one.segments[:, 1])
        assert np.all((one.segments >= 0) & (one.segments <= one.duration))


def test_thumos14(shared_data):
    loaded = activitynet.load(shared_data / "annotations" / "thumos14.json")
    assert {name: len(loaded.subset(name)) for name in ("train", "test")} == {
        "train": 200,
        "test": 210,
    }
    assert len(loaded.classes) == 20
    assert loaded.problems == {}
    assert all(one.duration is None for one in loaded.videos.values())
    assert sum(len(one.labels) for one in loaded.videos.values()) == 6318
