"""Every command that writes, killed or on a full disk, does the same when it is run again."""

import pathlib
import random
import shutil

import pytest
from forked import forked
from small_jobs import jobs, make_head, make_inputs, outcome
from test_kills import ENVIRONMENT

LONG = pytest.mark.faults
NAMES = jobs(pathlib.Path(), pathlib.Path(), pathlib.Path())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def parent():
    with forked(ENVIRONMENT) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "kills", "sizes"),
    [("view", 1, (2_000,)), *(pytest.param(name, 4, (500, 9_000), marks=LONG) for name in NAMES)],
)
def test_a_job_goes_on(finished_run, parent, inputs, tmp_path, name, kills, sizes):
    unbroken, _ = finished_run
    if name == "convert":
        make_head(inputs / "head.safetensors")
    out, rng = tmp_path / "out", random.Random(name)
    job = jobs(inputs, unbroken, out)[name]

    def begin():
        shutil.rmtree(out, ignore_errors=True)
        if name == "study":
            shutil.copytree(unbroken, out / "seed_0")
            shutil.rmtree(out / "seed_0" / "detections")

    begin()
    ended = parent.run(*job)
    assert ended.code == 0, ended.err
    expected = outcome(out)
    begin()
    killed = full = 0
    for _ in range(kills):
        ended = parent.run(*job, kill_at=int(2 ** rng.uniform(0, 4)))
        killed += ended.code == -9
        assert ended.code in (0, -9) or "already holds a checkpoint" in ended.err, ended
    for size in sizes:
        ended = parent.run(*job, most_bytes=size)
        full += ended.code == 1
        assert ended.code == 0 or ended.refused, ended
    ended = parent.run(*job)
    print(f"{name}: {killed} kills, {full} times full")
    assert ended.code == 0 or "already holds a checkpoint" in ended.err, ended
    assert outcome(out) == expected
