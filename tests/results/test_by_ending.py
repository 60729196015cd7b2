"""Detections in the forms that other programs write and read."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_detections import FOUND, detections

import lofi_jax
from lofi_jax.errors import UserError
from lofi_jax.results import csv_files, subtitles
from lofi_jax.results.detections import Detections

CLASSES = ("jump", "run")


@pytest.mark.parametrize("ending", [".json", ".csv", ".vtt", ".srt", ".pkl"])
def test_what_is_saved_is_loaded(tmp_path, ending):
    path = tmp_path / "folder" / f"v{ending}"
    lofi_jax.save_detections(path, FOUND, CLASSES)
    loaded = lofi_jax.load_detections(path, CLASSES)
    assert list(loaded) == ["v"]
    assert sorted(loaded["v"]) == sorted(FOUND)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".json", ".csv", ".pkl"])
def test_many_videos_keep_their_order(tmp_path, ending):
    path = tmp_path / f"found{ending}"
    found = {name: Detections(FOUND.segments, FOUND.labels, FOUND.scores, name) for name in "cab"}
    lofi_jax.save_detections(path, found, CLASSES)
    assert list(lofi_jax.load_detections(path, CLASSES).items()) == list(found.items())


@given(detections())
def test_csv_loses_nothing(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("csv") / "found.csv"
    path.write_text(csv_files.to_csv({"v": found}))
    assert csv_files.load(path).get("v", Detections([], [], [], "v")) == found


def test_csv_of_others_may_have_more_columns(tmp_path):
    path = tmp_path / "found.csv"
    path.write_text("\ufefflabel,video,note,score,start,end\nrun,v,sure,0.5,1,2.5\n")
    assert list(csv_files.load(path)["v"]) == [(1.0, 2.5, "run", 0.5)]


@given(detections(), st.sampled_from((subtitles.to_webvtt, subtitles.to_srt)))
def test_subtitles_keep_labels_milliseconds_and_three_digits(tmp_path_factory, found, to_text):
    ending = ".vtt" if to_text is subtitles.to_webvtt else ".srt"
    path = tmp_path_factory.mktemp("subtitles") / f"v{ending}"
    path.write_text(to_text(found))
    loaded = subtitles.load(path)
    assert loaded.video == "v" and loaded.labels == tuple(d.label for d in sorted(found))
    for read, wanted in zip(loaded, sorted(found), strict=True):
        assert abs(read.start - wanted.start) <= 6e-4 and abs(read.end - wanted.end) <= 2e-3
        assert read.score == pytest.approx(wanted.score, rel=1e-2)


def test_subtitles_look_as_players_want_them(tmp_path):
    found = Detections([[3661.5, 3662]], ["a < b"], [0.123456], "v")
    assert subtitles.to_srt(found) == "1\n01:01:01,500 --> 01:01:02,000\na < b (0.123)\n"
    cue = "01:01:01.500 --> 01:01:02.000\na &lt; b (0.123)\n"
    assert subtitles.to_webvtt(found) == f"WEBVTT\n\n{cue}"


@pytest.mark.parametrize("to_text", [subtitles.to_webvtt, subtitles.to_srt])
def test_a_blank_label_is_no_subtitle(to_text):
    with pytest.raises(UserError, match="the label '  ' is blank in a subtitle: save as .json"):
        to_text(Detections([[1, 2]], ["  "], [0.5], "v"))


@pytest.mark.parametrize("ending", [".json", ".csv"])
def test_half_a_character_is_not_written(ending, tmp_path):
    path = tmp_path / f"found{ending}"
    with pytest.raises(UserError, match="the video is '.udcff', not the text of"):
        lofi_jax.save_detections(path, {"\udcff": FOUND})
    assert not path.exists()


def test_a_file_whose_name_is_no_text_has_an_id_that_is(tmp_path):
    path = tmp_path / "a\udcff.srt"
    lofi_jax.save_detections(path, FOUND)
    assert list(lofi_jax.load_detections(path)) == ["a\ufffd"]


def test_subtitles_of_others(tmp_path):
    path = tmp_path / "talk.vtt"
    path.write_text(
        "WEBVTT - a talk\n\nNOTE made\nby hand\n\nintro\n01:02.250 --> 01:03.000 align:start\nshe"
        " jumps\n(twice)\n"
    )
    assert list(subtitles.load(path)) == [(62.25, 63.0, "she jumps (twice)", 1.0)]


def columns(**changes):
    made = {
        "video-id": ["a", "b", "a"],
        "t-start": np.array([1, 2, 3], np.float32),
        "t-end": np.array([2, 3, 4], np.float32),
        "label": np.array([0, 1, 1]),
        "score": np.array([0.5, 0.25, 0.125], np.float32),
    }
    return made | changes


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_actionformers_results(tmp_path, protocol):
    path = tmp_path / "eval_results.pkl"
    ids = np.array(columns()["video-id"])
    for made in (columns(), columns(**{"video-id": ids}), columns(**{"video-id": list(ids)})):
        path.write_bytes(pickle.dumps(made, protocol))
        found = lofi_jax.load_detections(path, CLASSES)
        assert list(found["a"]) == [(1, 2, "jump", 0.5), (3, 4, "run", 0.125)]
        assert list(found["b"]) == [(2, 3, "run", 0.25)]


def test_actionformers_results_of_numpy_1(tmp_path):
    path = tmp_path / "eval_results.pkl"
    old = pickle.dumps(columns(), 2).replace(b"numpy._core.", b"numpy.core.")
    path.write_bytes(old)
    assert b"numpy._core" not in old
    assert len(lofi_jax.load_detections(path, CLASSES)["a"]) == 2


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


def shared(depth):
    """A list of 2^depth numbers in few bytes."""
    made = [0.5]
    for _ in range(depth):
        made = [made, made]
    return made


WRONG_PICKLES = {
    "code": (columns(score=Evil()), "builtins.print, which could run code, so it is refused"),
    "another form": ({"a": 1}, "not ActionFormer's results"),
    "columns of several lengths": (columns(score=np.ones(2)), "not of one length"),
    "an unknown class": (columns(label=np.array([0, 7, 1])), "entry 1: label 7 is none of 2"),
    "complex scores": (columns(score=np.ones(3) * 1j), "score is no column of numbers"),
    "classes that are not numbers": (columns(label=np.ones(3, bool)), "label is no column of num"),
    "rows of several lengths": (columns(**{"t-end": [[1], [1, 2], [1]]}), "t-end is no column"),
    "lists that share lists": (columns(score=shared(28)), "score is no column of numbers"),
    "a text": (columns(**{"video-id": "abc"}), "video-id is no column of names"),
    "a set": (columns(**{"video-id": {"a", "b", "c"}}), "video-id is no column of names"),
    "no name": (columns(**{"video-id": ["a", None, "b"]}), "video-id is no column of names"),
    "dates": (columns(**{"t-start": np.zeros(3, "M8[s]")}), "t-start is no column of numbers"),
    "a time over the most": (columns(**{"t-end": np.array([2, 3, 1e300])}), "entry 1: the segment"),
    "a bad segment": (columns(**{"t-end": np.array([2, 3, 1])}), "video 'a', entry 1: the segment"),
}


@pytest.mark.parametrize("what", WRONG_PICKLES)
def test_wrong_pickles_are_refused(tmp_path, what, capsys):
    made, says = WRONG_PICKLES[what]
    path = tmp_path / "eval_results.pkl"
    path.write_bytes(pickle.dumps(made))
    with pytest.raises(UserError) as refused:
        lofi_jax.load_detections(path, CLASSES)
    assert str(refused.value).startswith(f"{path}: ") and says in str(refused.value)
    assert capsys.readouterr().out == ""


WRONG = {
    "found.txt": ("", "the name must end in one of .json, .pkl, .csv, .vtt, .srt"),
    "found.json": (
        '{"results": {"v": [{"label": "a", "score": 1, "segment": [2, 1]}]}}',
        "entry 0",
    ),
    "found.csv": ("video,start,end,label,score\nv,1,2,run,1\nv,3,2,run,1\n", "line 3: video 'v'"),
    "large.csv": ("video,start,end,label,score\nv,1,1e300,run,1\n", "line 2: video 'v'"),
    "short.csv": ("video,start,end,label,score\nv,1\n", "line 2: "),
    "columns.csv": ("video,start,end,label\n", "no column 'score'"),
    "found.vtt": ("WEBVTT\n\n00:02.000 --> 00:01.000\nrun\n", "entry 0: the segment is [2.0, 1.0]"),
    "found.srt": ("1\n00:00:01,000 --> 00:00:02,000\n\n", "entry 0: the label is ''"),
    "damaged.pkl": ("\x80", "damaged, or no pickle"),
    "huge.pkl": ("Np33554432\n.", "damaged, or no pickle"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_named_with_their_entry(tmp_path, name):
    text, says = WRONG[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        lofi_jax.load_detections(path, CLASSES)
    assert str(path) in str(refused.value) and says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_a_file_cannot_hold_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds one video, not 2"):
        lofi_jax.save_detections(tmp_path / "v.srt", {"v": FOUND, "w": FOUND})
    with pytest.raises(UserError, match="give classes"):
        lofi_jax.save_detections(tmp_path / "v.pkl", FOUND)
    with pytest.raises(UserError, match="'jump' is none of 1 classes"):
        lofi_jax.save_detections(tmp_path / "v.pkl", FOUND, ["run"])
    with pytest.raises(UserError, match="cannot be read"):
        lofi_jax.load_detections(tmp_path / "none.csv")
    assert not list(tmp_path.iterdir())
