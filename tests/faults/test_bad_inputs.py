"""Every command answers a bad input with a line and an exit code, and never hangs."""

import random

import pytest
from bad_inputs import bad_inputs
from forked import Ended, forked
from small_jobs import make_inputs
from test_kills import ENVIRONMENT

_SECONDS = 200.0  # after which a command hangs


def held(command: str, ended: Ended) -> bool:
    """Whether a command has healed a bad input, told of it, or refused it in a line."""
    told = [*ended.err.splitlines(), *ended.out.splitlines()]
    if not all(len(line) <= 320 and line.isprintable() for line in told):
        return False
    if command in ("validate", "doctor") and ended.code == 1 and not ended.err:
        return bool(ended.out)
    warned = all(line.startswith("warning: ") for line in ended.err.splitlines())
    return ended.refused or (ended.code == 0 and warned)


@pytest.mark.parametrize("count", [6, pytest.param(1_000, marks=pytest.mark.faults)])
def test_bad_inputs(finished_run, tmp_path, count):
    good = tmp_path / "good"
    good.mkdir()
    jobs = list(bad_inputs(tmp_path, make_inputs(good), finished_run[0]))
    chosen = random.Random(count).sample(jobs, min(count, len(jobs)))
    failed, codes = [], {}
    with forked(ENVIRONMENT) as parent:
        for command, *arguments in chosen:
            ended = parent.run(command, *arguments, kill_after=_SECONDS)
            codes[ended.code] = codes.get(ended.code, 0) + 1
            if not held(command, ended):
                failed.append((command, arguments, ended))
                print(command, arguments[-2:], ended.code, ended.err[-400:], flush=True)
    print("bad inputs:", len(chosen), "of", len(jobs), "codes:", codes)
    assert failed == []
