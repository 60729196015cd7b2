"""No damaged file ends a reader otherwise than in one line that names it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

FUZZ = pathlib.Path(__file__).with_name("fuzz.py")


@pytest.mark.parametrize("count", [60, pytest.param(1100, marks=pytest.mark.faults)])
def test_files_damaged_at_random(count):
    environment = {**os.environ, "PYTHONPATH": str(FUZZ.parents[2])}
    ended = subprocess.run(
        [sys.executable, "-W", "error", FUZZ, str(count)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    told = json.loads(ended.stdout)
    print("fuzzed:", sum(one["tried"] for one in told.values()))
    assert {reader: one["failed"] for reader, one in told.items() if one["failed"]} == {}
