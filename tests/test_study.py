"""What `study` refuses before any work; tests/jobs/test_labels.py and test_wheel.py run it."""

import commands
import pytest

from lofi_jax import locks


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--seeds=", "--seeds=: whole numbers, separated by commas"),
        ("--seeds=0,a", "--seeds=0,a: whole numbers, separated by commas"),
        ("--seeds=-1", "config.seed is -1: it must be in [0, 4294967295]"),
        ("--seeds=0,1099511627776", "config.seed is 1099511627776: it must be in [0, 4294967295]"),
        ("--config.stages=data", "config.stages: a study needs the stage evaluate"),
    ],
)
def test_refuses_a_study_of_nothing(tmp_path, flag, says):
    folder = tmp_path / "study"
    ended = commands.run("study", f"--config={commands.TINY}", f"--workdir={folder}", flag)
    assert commands.misused(ended, says)
    assert not folder.exists()


def test_ends_where_another_command_is_at_work_on_a_seed(tmp_path):
    folder = tmp_path / "study"
    with locks.inside(folder / "seed_0"):
        study = ("study", f"--config={commands.TINY}", f"--workdir={folder}", "--seeds=0")
        ended = commands.run(*study, "--nowait")
    assert commands.refused(ended, "is writing there: let it end")
