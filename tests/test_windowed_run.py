"""A whole run on sliding windows, and predict with what it trained."""

import json

import numpy as np
import pytest
from commands import ROOT, main, run

from lofi_jax.data.video import video_file
from lofi_jax.data.video.sample_times import snippets_in
from lofi_jax.data.video_ids import of_file
from lofi_jax.results import predictions

RATE = 0.75  # snippets a second, of tests/tiny_windows.py


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows") / "run"
    ended = run(*main(folder, config=ROOT / "tests" / "tiny_windows.py"))
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    return folder


def test_stage_1_is_measured_on_ten_clips_a_video(workdir):
    measured = json.loads((workdir / "encoders" / "acp" / "accuracy.json").read_text())
    assert (measured["subset"], measured["videos"], measured["clips"]) == ("validation", 1, 10)
    assert 0 <= measured["top1"] <= measured["top5"] <= 1


def lengths(folder):
    """The duration of each of the target's videos, in seconds."""
    paths = (folder / "data" / "world" / "target" / "videos").glob("*.mp4")
    return {path.stem.removeprefix("v_"): video_file.probe(path).duration for path in paths}


def test_features_are_as_long_as_their_video(workdir):
    (encoder,) = (path for path in (workdir / "features").iterdir())
    for video_id, seconds in lengths(workdir).items():
        features = np.load(encoder / f"{video_id}.npy")
        assert len(features) == snippets_in(seconds, RATE, 0) > 12


def test_detections_lie_all_over_each_test_video(workdir):
    results = json.loads((workdir / "results.json").read_text())
    assert 0 <= results["rows"][0]["average_mAP"] <= 1
    found = predictions.load(workdir / "detections.json")
    assert len(found.video_ids) == 2
    for i, video_id in enumerate(found.video_ids):
        segments, seconds = found.segment[found.video == i], lengths(workdir)[video_id]
        assert segments.min() < 0.25 * seconds and 0.75 * seconds < segments.max() <= seconds
        # Nothing is longer than a window.
        assert (segments[:, 1] - segments[:, 0]).max() <= 12 / RATE + 1e-9


def test_predict_takes_videos_shorter_and_longer_than_a_window(workdir, tmp_path):
    world = workdir / "data" / "world"
    long = world / "target" / "videos" / "v_target_testing_00000.mp4"
    short = world / "source" / "videos" / "source_training_00000.mp4"
    output = tmp_path / "found.json"
    ended = run("predict", f"--workdir={workdir}", f"--videos={long},{short}", f"--output={output}")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(output.read_text())["results"]
    ends = [max(d["segment"][1] for d in found[of_file(path)]) for path in (long, short)]
    assert ends[0] > 12 / RATE and ends[1] <= video_file.probe(short).duration < 12 / RATE
    # The same video is found to hold what the run itself found in it.
    own = json.loads((workdir / "detections.json").read_text())["results"]["target_testing_00000"]
    np.testing.assert_allclose(
        [d["score"] for d in found[of_file(long)]], [d["score"] for d in own], rtol=1e-3
    )


def test_streaming_extracts_the_same_features_within_what_jpeg_loses(workdir, tmp_path):
    """The joint training's encoder, given to a run that reads the same videos with no
    preparation.
    """
    (encoder,) = (workdir / "encoders").glob("lofi*")
    arguments = {
        "stages": "data,extract",
        "rows": "acp",
        "encoder_checkpoint": encoder,
        "data.streaming": True,
        "data.data_dir": workdir / "data",
        "log.cache_dir": workdir.parent / "cache",
    }
    config = ROOT / "tests" / "tiny_windows.py"
    given = [f"--config.{key}={value}" for key, value in arguments.items()]
    ended = run("main", f"--config={config}", f"--workdir={tmp_path / 'run'}", *given)
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    assert "frames a second and core from the video files" in ended.stdout
    for path in (workdir / "features" / encoder.name).glob("*.npy"):
        prepared = np.load(path)
        streamed = np.load(tmp_path / "run" / "features" / "acp" / path.name)
        assert streamed.shape == prepared.shape
        assert np.corrcoef(streamed.ravel(), prepared.ravel())[0, 1] > 0.97
