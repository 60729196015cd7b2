"""The prepare command as a user runs it."""

import json
import pathlib
import subprocess
import sys

import pytest

from lofi_jax.data import records
from lofi_jax.data.sampling import Sampling

ROOT = pathlib.Path(__file__).parents[1]


def prepare(**flags):
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    command = [sys.executable, "-W", "error", "-m", "lofi_jax.prepare", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


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
    assert "2 videos (1 in training, 1 in testing)" in made.stdout
    assert "1 annotated videos missing from the folder: gone" in made.stdout
    assert made.stderr == ""
    place = pathlib.Path(made.stdout.splitlines()[-1])
    assert place == flags["data_dir"] / "video_folder" / "4x2_stride8_32px_q80" / "1.0.0"
    sampling = Sampling(4, 2, 8, 32, 80)
    builder = records.load(flags["data_dir"], "video_folder", sampling)
    record = records.Records(builder, "testing")[0]
    assert record["video_id"] == "bikes" and len(record["frames"]) == 8
    again = prepare(**flags)
    assert again.returncode == 0 and again.stdout.splitlines()[-1] == str(place)
    assert "2/2" not in again.stdout


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
    assert made.returncode == 2
    assert made.stderr.startswith("error: ") and made.stderr.count("\n") == 1
    assert message in made.stderr
