"""Every block of the README, and of the page on twelve clips, run as it stands, one after the
other, in an empty environment and a folder that holds what a reader has: the checkout and some
videos.

Two things are smaller. Configs of the names that the blocks use are tiny, and what main's first
block would train is there already, from the run that other tests share, so main only finds it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import wheels
from commands import ENVIRONMENT, ROOT, TINY

# The first block installs, others train.
pytestmark = [wheels.can_be_built, pytest.mark.slow]


def blocks(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^```(bash|python)\n(.*?)^```", text, re.M | re.S)


BLOCKS = blocks((ROOT / "README.md").read_text())
README = len(BLOCKS)
BLOCKS += blocks((ROOT / "lofi_jax" / "data" / "README.md").read_text())

CONFIG = """import runpy
def get_config():
    c = runpy.run_path({tiny!r})["get_config"]()
    c.log.cache_dir = {cache!r}
    c.update({changes!r})
    return c
"""
OWN = {"dataset": "video_folder", "rows": "acp", "timelines": 1}


@pytest.fixture(scope="module")
def folder(finished_run, tmp_path_factory) -> pathlib.Path:
    """A checkout, in which the first run has been made, and the reader's videos."""
    done, folder = finished_run[0], tmp_path_factory.mktemp("reader")
    for part in wheels.PARTS:
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, folder / part)
    cache = str(done.parent / "cache")
    for name, changes in (("synthetic", {}), ("video_folder", OWN)):
        text = CONFIG.format(tiny=str(TINY), cache=cache, changes=changes)
        (folder / "configs" / f"{name}.py").write_text(text)
    shutil.copytree(done, folder / "runs" / "synthetic")
    world = done / "data" / "world" / "target"
    shutil.copytree(world / "videos", folder / "videos")
    shutil.copy(world / "annotations.json", folder / "annotations.json")
    (folder / "clips").mkdir()
    for name in ("clips/one.mp4", "holiday.mp4"):
        shutil.copy(next((world / "videos").glob("*testing*")), folder / name)
    return folder


@pytest.fixture(scope="module")
def run_blocks(folder) -> dict[int, subprocess.CompletedProcess]:
    """How each block of the README ended, in order; those of bash in the environment that the first
    one makes.
    """
    # Nothing is downloaded: what the package needs is taken from where these tests have it.
    there = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    environment = {
        **{name: ENVIRONMENT[name] for name in ("XLA_FLAGS", "JAX_PLATFORMS")},
        "PATH": os.pathsep.join([str(pathlib.Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONPATH": os.pathsep.join(there),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # "no" of the option --no-build-isolation, which is its yes
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    enter = "set -e; test ! -d .venv || . .venv/bin/activate\n"
    ended = {}
    for i, (kind, text) in enumerate(BLOCKS):
        command = ["bash", "-c", enter + text]
        if kind == "python":
            command = ["bash", "-c", f'{enter}python -c "$0"', text]
        ended[i] = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
    return ended


@pytest.mark.parametrize("i", range(len(BLOCKS)))
def test_a_block_runs(run_blocks, i):
    assert run_blocks[i].returncode == 0, run_blocks[i].stderr


def test_the_blocks_leave_what_they_say(run_blocks, folder):
    assert "lofi - acp:" in run_blocks[0].stdout
    assert (folder / "detections.json").is_file() and (folder / "timelines" / "one.png").is_file()
    assert (folder / "runs" / "mine" / "results.json").is_file()
    assert (folder / "holiday.vtt").read_text().startswith("WEBVTT\n")


def test_twelve_clips_become_a_page(run_blocks, folder):
    clips, doctor, trained, *_ = (run_blocks[i].stdout for i in range(README, len(BLOCKS)))
    assert clips == "12 clips of 12 s -> mine\n"
    assert "9 training videos with 18 instances; 3 test videos with 6 instances" in doctor
    assert "all files are in" in trained
    assert (
        (folder / "street_4.csv").read_text().startswith("video,start,end,label,score\nstreet_4,")
    )
    assert '"file":"videos/street_4.mp4"' in (folder / "page" / "index.html").read_text()
    assert (folder / "page" / "videos" / "street_4.mp4").is_file()
