"""The prepare command as a user runs it."""

import importlib.util
import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from small_videos import annotated, contents, save_annotations, write_video

from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import records

ROOT = pathlib.Path(__file__).parents[1]
# Where the six videos' dataset comes to lie below the data folder.
PLACE = "video_folder/100x2_stride8_240px_q95"
BEAM = importlib.util.find_spec("apache_beam") is not None
# With the older protobuf that Beam needs, TFDS warns; so do Beam's own modules.
WARNINGS = "ignore" if BEAM else "error"


def start(**flags):
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    return subprocess.Popen(
        [sys.executable, "-W", WARNINGS, "-m", "lofi_jax.prepare", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def prepare(**flags):
    with start(**flags) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def flags(shared_data, tmp_path):
    database = {
        name: {"subset": subset, "annotations": [{"segment": [1, 20], "label": "play"}]}
        for name, subset in (
            ("arm_wrestling", "training"),
            ("bikes", "testing"),
            ("gone", "testing"),
        )
    }
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"database": database}))
    return {
        "dataset": "video_folder",
        "video_dir": shared_data / "videos",
        "annotations": path,
        "data_dir": tmp_path / "data",
        "snippets": 4,
        "frames_per_snippet": 2,
        "stride": 8,
        "short_side": 32,
        "quality": 80,
        "workers": 2,
    }


def test_it_makes_a_dataset_and_says_what_and_where(flags):
    made = prepare(**flags)
    assert made.returncode == 0, made.stderr
    assert "2/2" in made.stdout
    assert "GB of disk an hour of video" in made.stdout.splitlines()[0]
    assert "2 videos (1 in training, 1 in testing)" in made.stdout
    assert "1 annotated videos missing from the folder: gone" in made.stdout
    assert made.stderr == ""
    place = pathlib.Path(made.stdout.splitlines()[-1])
    assert place == flags["data_dir"] / "video_folder" / "4x2_stride8_32px_q80" / "2.0.0"
    sampling = Sampling(4, 2, 8, 32, 80)
    builder = records.load(flags["data_dir"], "video_folder", sampling)
    record = records.Records(builder, "testing")[0]
    assert record.video_id == "bikes" and len(record.frames) == 8
    again = prepare(**flags)
    assert again.returncode == 0 and again.stdout.splitlines()[-1] == str(place)
    assert "2/2" not in again.stdout


@pytest.fixture
def many_shards(tmp_path):
    """Flags for six videos in as many splits, and so files."""
    for i in range(6):
        write_video(tmp_path / "videos" / f"v_{i}.mp4", 120, 480, 640)
    database = {str(i): annotated(f"part{i}", (0, 9, "run")) for i in range(6)}
    return {
        "dataset": "video_folder",
        "video_dir": tmp_path / "videos",
        "annotations": save_annotations(tmp_path / "annotations.json", database),
        "frames_per_snippet": 2,
        "short_side": 240,
        "workers": 1,
    }


def kill_early(place, **flags) -> int:
    """Kills the command when a file is finished, and says how many are."""
    with start(**flags) as process:
        while not list(place.glob("unfinished_2.0.0/finished/*.json")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finished = len(list(place.glob("unfinished_2.0.0/finished/*.json")))
    assert 1 <= finished < 6 and not (place / "2.0.0").exists()
    return finished


def test_a_killed_run_goes_on_with_what_it_had_not_finished(many_shards, tmp_path):
    place = tmp_path / "data" / PLACE

    def files():
        return {
            path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in place.glob("*2.0.0/**/*array_record*-of-00001")
        }

    finished = kill_early(place, data_dir=tmp_path / "data", **many_shards)
    before = files()
    again = prepare(data_dir=tmp_path / "data", **many_shards)
    assert again.returncode == 0, again.stderr
    assert f"resuming from {finished} of 6 videos" in again.stdout and "6/6" in again.stdout
    assert len(files()) == 6
    kept = [name for name, file in before.items() if files()[name] == file]
    assert len(kept) >= finished
    unbroken = prepare(data_dir=tmp_path / "unbroken", **many_shards | {"workers": 2})
    assert unbroken.returncode == 0, unbroken.stderr
    assert contents(tmp_path / "data") == contents(tmp_path / "unbroken")


@pytest.mark.skipif(not BEAM, reason="Apache Beam is not installed: pip install 'lofi_jax[beam]'")
def test_beam_writes_the_same_bytes(many_shards, tmp_path):
    here = prepare(data_dir=tmp_path / "here", **many_shards)
    assert here.returncode == 0, here.stderr
    # The second also goes on with what a run without Beam left.
    kill_early(tmp_path / "beam2" / PLACE, data_dir=tmp_path / "beam2", **many_shards)
    for workers in (1, 2):
        flags = many_shards | {"data_dir": tmp_path / f"beam{workers}", "workers": workers}
        made = prepare(beam_runner="DirectRunner", **flags)
        assert made.returncode == 0, made.stderr
        assert "6/6" in made.stdout and ("going on" in made.stdout) == (workers == 2)
        assert contents(tmp_path / f"beam{workers}") == contents(tmp_path / "here")


@pytest.mark.skipif(BEAM, reason="Apache Beam is installed")
def test_without_beam_the_way_to_get_it_is_said(many_shards, tmp_path):
    made = prepare(data_dir=tmp_path, beam_runner="DirectRunner", **many_shards)
    assert made.returncode == 1
    assert "error: --beam_runner=DirectRunner: pip install 'lofi_jax[beam]' first" in made.stderr


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dataset", "imagenet", "--dataset=imagenet: choose one of synthetic, activitynet, hacs"),
        ("annotations", "absent.json", "absent.json"),
        ("workers", 0, "--workers=0"),
        ("snippets", 0, "snippets is 0"),
    ],
)
def test_bad_input_gets_one_line(flags, name, value, message):
    made = prepare(**(flags | {name: value}))
    assert made.returncode == (1 if name == "annotations" else 2)
    assert made.stderr.startswith("error: ") and made.stderr.count("\n") == 1
    assert message in made.stderr
