"""What a terminal shows: that a command starts, what it compiles, how long it still takes, help."""

import re
import subprocess
import sys

import pytest
from commands import ROOT, misused, run

from lofi_jax.__main__ import COMMANDS
from lofi_jax.shipped import shipped
from lofi_jax.training import progress

LIGHT = """
import runpy, sys
sys.argv = ["lofi_jax.{0}", "--help"]
try:
    runpy.run_module("lofi_jax.{0}", run_name="__main__")
except SystemExit as ended:
    print("code", ended.code)
print(*sys.modules)
"""


@pytest.mark.parametrize("command", ["main", "predict"])
def test_a_command_says_that_it_starts_before_it_imports_what_takes_long(command):
    # Help comes at the place of the first line: all that is imported by then is cheap.
    code = [sys.executable, "-c", LIGHT.format(command)]
    ended = subprocess.run(code, capture_output=True, text=True, check=True, cwd=ROOT)
    *_, code, modules = ended.stdout.splitlines()
    assert code == "code 0"
    assert not {"jax", "numpy", "flax", "cv2", "tqdm"} & set(modules.split())


def test_help_is_no_error_and_lists_the_shipped_configs():
    for flag in ("--help", "-h"):
        ended = run("main", flag)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith("`python -m lofi_jax.main --config=F --workdir=D`")
        assert all(name in ended.stdout for name in shipped())
        assert "--workdir: Folder for everything the run writes." in ended.stdout


@pytest.mark.parametrize("command", ["main", "predict", "prepare"])
def test_help_lists_the_flags_that_several_commands_have(command):
    assert "--[no]wait: Wait for another process that writes there" in run(command, "--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_missing_is_named_by_its_flag(command):
    ended = run(command)
    assert misused(ended, " required: see --help"), ended.stderr
    assert re.match(r"error: --\w+(, --\w+)* (is|are) required", ended.stderr)


def test_one_missing_flag_is_named_alone():
    usual = "--ground_truth=a.json", "--predictions=b.json", "--output=page"
    ended = run("view", *usual)
    assert ended.stderr == "error: --video_dir is required: see --help\n"


def test_the_first_lines_of_a_run(finished_run):
    first, second = finished_run[1].stdout.splitlines()[:2]
    assert first == "main: starting JAX"
    assert second == f"curves, once it trains: tensorboard --logdir={finished_run[0]}"


def test_a_run_says_what_it_compiles(finished_run):
    lines = finished_run[1].stdout.splitlines()
    at = lines.index("joint (temporal, gtad): compiling ...")
    assert re.fullmatch(r"joint \(temporal, gtad\): compiled in \d+\.\d s", lines[at + 1])


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_the_time_left_leaves_compiling_out(clock, capsys):
    shown = progress.Progress("joint", 100)
    with shown.compiling():
        clock.now += 60
    clock.now += 20
    shown.show(10, {"loss": 0.5})
    with shown.compiling():
        clock.now += 30
    clock.now += 20
    shown.show(20, {"loss": 0.25})
    assert capsys.readouterr().out.splitlines() == [
        "joint: compiling ...",
        "joint: compiled in 60.0 s",
        "joint: 10/100 loss 0.5000 0.50 steps/s, 180 s left",
        "joint: compiling ...",
        "joint: compiled in 30.0 s",
        "joint: 20/100 loss 0.2500 0.50 steps/s, 160 s left",
    ]
    assert shown.elapsed() == 40.0


def test_where_compiling_is_not_told_the_first_does_not_count(clock, capsys):
    shown = progress.Progress("extract", 11, unit="videos")
    clock.now += 60
    shown.show(1, {})
    clock.now += 20
    shown.show(6, {})
    first, second = capsys.readouterr().out.splitlines()
    assert first == "extract: 1/11 0.02 videos/s, 600 s left"
    assert second == "extract: 6/11 0.25 videos/s, 20 s left"


def test_the_end_is_said_once(clock, capsys):
    shown = progress.Progress("film.mp4", 60, unit="s of video")
    for done in (20, 60, 60):
        shown.show(done, {})
    assert capsys.readouterr().out.count("film.mp4: 60/60") == 1


def test_a_line_goes_above_the_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = progress.Progress("joint", 10)
    shown.show(2, {"loss": 0.5})
    with shown.compiling():
        pass
    shown.show(10, {"loss": 0.25})
    shown.close()
    written = capsys.readouterr()
    assert written.out.splitlines() == ["joint: compiling ...", "joint: compiled in 0.0 s"]
    # The bar is wiped before each line, and drawn again behind it.
    assert "loss=0.250" in written.err and written.err.endswith("\n")
