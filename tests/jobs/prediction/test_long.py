"""Videos longer than those that a run was trained on, and what predict keeps and writes."""

import itertools
import os
import pathlib

import numpy as np
import pytest
from commands import refused, run
from videos import join

import lofi_jax
from lofi_jax.data.ingest.sampling import Sampling, read_record
from lofi_jax.data.streamed import snippets
from lofi_jax.data.video.sample_times import sample_times
from lofi_jax.detection.windows import Windows
from lofi_jax.errors import UserError
from lofi_jax.jobs.prediction import recorded, windowed
from lofi_jax.results.detections import Detections


@pytest.fixture(scope="module")
def world(finished_run) -> pathlib.Path:
    return finished_run[0] / "data" / "world" / "target"


@pytest.fixture(scope="module")
def localizer(finished_run) -> lofi_jax.Localizer:
    return lofi_jax.Localizer.load(finished_run[0])


@pytest.fixture(scope="module")
def long(world, tmp_path_factory) -> pathlib.Path:
    """The world's four test videos of 32 s one after the other, without a second compression."""
    path = tmp_path_factory.mktemp("long") / "v_long.mp4"
    join(path, sorted((world / "videos").glob("*testing*")), 32)
    return path


def test_a_long_video_is_cut_into_windows_of_the_training_length(localizer, long):
    windows = localizer.windows_for(128.0)
    assert windows == Windows(16, 0.5, 0.5) and windows.seconds == 32.0
    assert localizer.windows_for(32.0) is None and localizer.windows_for(35.0) is None
    found = localizer.detect(long)
    assert found.video == "long" and list(found.scores) == sorted(found.scores, reverse=True)
    assert found.segments.min() >= 0 and found.segments.max() <= 128.0
    lengths = found.segments[:, 1] - found.segments[:, 0]
    assert lengths.max() <= 32.0
    # Each of its parts, by itself, has the first and the last quarter of the long video's first and
    # last window to itself.
    quarters = {int(centre // 32) for centre in found.segments.mean(axis=1)}
    assert quarters == {0, 1, 2, 3}


def test_the_first_window_finds_what_the_first_video_alone_has(localizer, long, world):
    alone = localizer.detect(world / "videos" / "v_target_testing_00000.mp4")
    found = localizer.detect(long)
    centres = alone.segments.mean(axis=1)
    for detection in alone[centres < 23.0].top(10):
        near = np.abs(found.segments - [detection.start, detection.end]).max(axis=1)
        same = [label == detection.label for label in found.labels]
        at = np.flatnonzero((near < 1e-3) & same)
        assert len(at) and found.scores[at[0]] == pytest.approx(detection.score, rel=1e-3)


@pytest.mark.parametrize("stride", [0, 3])
def test_snippets_come_as_a_stored_record_has_them(long, stride):
    how = Sampling(1, 3, stride, 16, 90, snippets_per_second=0.7)
    made = snippets.FileSnippets(long, how)
    record, _ = read_record(long, how)
    assert [frame.jpeg for snippet in made for frame in snippet] == record.frames
    assert made.covered == "" and made.duration == pytest.approx(128.0, abs=0.1)


@pytest.mark.parametrize("stride", [0, 3])
def test_times_without_an_end_are_those_of_a_file(stride):
    ascending = snippets.ascending(0.7, 3, stride, 8.0)
    found = sorted((place, time) for time, place in itertools.islice(ascending, 60))
    expected = sample_times(1e3, 8.0, 0, 3, stride, 0.7)
    places = [place for place, _ in found]
    np.testing.assert_allclose([time for _, time in found], expected[places], atol=1e-9)
    times = [time for time, _ in itertools.islice(snippets.ascending(0.7, 3, stride, 8.0), 60)]
    assert times == sorted(times) and places[:50] == list(range(50))


def test_a_frame_is_shown_until_the_next_begins():
    wanted = iter([(0.5, 0), (1.0, 1), (1.5, 2), (1.6, 3), (3.0, 4), (9.0, 5)])
    frames = [(0.0, "a"), (1.0, "b"), (2.0, "c"), (4.0, "d")]
    made = list(snippets.shown_at(wanted, frames, str.upper))
    assert made == [(0, "A"), (1, "B"), (2, "B"), (3, "B"), (4, "C")]


SIZES = [1, 7, 8, 9, 11, 12, 13, 16, 31]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("piece", [1, 4, 5])
def test_every_moment_belongs_to_one_window(count, piece):
    # A snippet's feature is its number, and every window finds each of its snippets.
    windows, rate = Windows(8, 0.5, 2.0), 2.0

    def in_window(parts):
        begins = (parts["x"][:, 0] - parts["x"][0, 0]) / rate
        fresh = np.append(True, np.diff(parts["x"][:, 0]) > 0)  # without the padding
        begins, numbers = begins[fresh], parts["x"][fresh, 0]
        labels = [f"{number:g}" for number in numbers]
        return Detections(np.stack([begins, begins + 0.5], 1), labels, np.ones(len(labels)))

    rows = np.arange(count, dtype=float)[:, None]
    pieces = ({"x": rows[i : i + piece]} for i in range(0, count, piece))
    seen = list(windowed.detect(pieces, windows, in_window, lambda: count / rate))
    found = [detection for _, one in seen for detection in one]
    assert sorted(found) == sorted((i / rate, (i + 1) / rate, f"{i}", 1.0) for i in range(count))
    assert [seconds for seconds, _ in seen] == sorted(seconds for seconds, _ in seen)


def test_an_action_that_two_windows_find_is_told_once():
    def in_window(parts):
        # An action at 3.4 to 4.6 s of the video as the first, and at 3.1 to 4.3 as the second sees.
        begin = parts["x"][0, 0]
        return Detections([[2.0, 3.6]] if begin == 0 else [[0.2, 1.9]], ["run"], [0.5])

    rows = np.arange(12.0)[:, None]
    seen = windowed.detect([{"x": rows}], Windows(8, 0.5, 2.0), in_window, lambda: 6.0)
    assert [d for _, one in seen for d in one] == [(2.0, 3.6, "run", 0.5)]


def test_predict_says_that_it_cuts_and_keeps_what_is_asked_for(finished_run, long, tmp_path):
    usual = [f"--workdir={finished_run[0]}", f"--videos={long}"]
    ended = run(
        "predict",
        *usual,
        f"--output={tmp_path / 'found.csv'}",
        f"--timeline_dir={tmp_path / 'images'}",
        "--top_k=3",
        "--proposals_only",
        "--min_score=0.001",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    said = f"{long}: its 128.0 s are more than the 32.0 s of the longest training video: in windows"
    assert said in ended.stdout
    found = lofi_jax.load_detections(tmp_path / "found.csv")["long"]
    assert len(found) == 3 and set(found.labels) == {"proposal"}
    assert len({tuple(segment) for segment in found.segments}) == 3
    assert (tmp_path / "images" / "long.png").is_file()


def test_a_name_of_other_bytes_than_text_is_told_in_a_line_and_played(finished_run, long, tmp_path):
    odd = os.fsencode(tmp_path) + b"/l\xff\n2.mp4"
    os.link(long, odd)
    usual = [f"--workdir={finished_run[0]}", f"--videos={tmp_path}", f"--view={tmp_path / 'page'}"]
    ended = run("predict", *usual, f"--output={tmp_path / 'found.json'}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"\n{tmp_path}/l? 2.mp4: its 128.0 s are more than" in ended.stdout
    assert "videos/l%FF%0A2.mp4" in (tmp_path / "page" / "index.html").read_text()


@pytest.mark.parametrize("name", ["found.txt", "found.pkl", "found"])
def test_other_endings_are_refused(name):
    with pytest.raises(UserError, match=f"--output={name}: .* end in one of .json, .csv, .srt,"):
        recorded.check_output(pathlib.Path(name), [pathlib.Path("a.mp4")])


def test_subtitles_hold_one_video():
    videos = [pathlib.Path("a.mp4"), pathlib.Path("b.mp4")]
    recorded.check_output(pathlib.Path("found.VTT"), videos[:1])
    with pytest.raises(UserError, match="--output=found.srt: holds one video, not 2: choose .json"):
        recorded.check_output(pathlib.Path("found.srt"), videos)


def test_what_cannot_be_kept_is_refused_before_the_work(finished_run, world, tmp_path):
    usual = [f"--workdir={finished_run[0]}", f"--videos={world}/videos/*testing*"]
    ended = run("predict", *usual, f"--output={tmp_path / 'f.json'}", "--classes=flying")
    assert refused(ended, "the run knows no class 'flying': ", "there are "), ended.stderr
    ended = run("predict", *usual, f"--output={tmp_path / 'f.json'}", "--classes=horizontal shak")
    assert refused(ended, "'horizontal shak': did you mean horizontal shake? there are ")
    assert not (tmp_path / "f.json").exists()
