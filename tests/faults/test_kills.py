"""A main command killed at any change of a file goes on, and ends with the same bytes."""

import hashlib
import pathlib
import random
import shutil

import commands
import pytest
from forked import forked

ROOT = pathlib.Path(__file__).parents[2]
ENVIRONMENT = {
    **commands.ENVIRONMENT,
    "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
    "OPENBLAS_NUM_THREADS": "1",
}


def results(workdir: pathlib.Path) -> dict[str, str]:
    """A digest of every file whose bytes depend on nothing but the config."""
    kept = [
        *workdir.glob("features/*/*"),
        *workdir.glob("detections/*.json"),
        *workdir.glob("heads/*/features.json"),
        *workdir.glob("classifier/*/*.json"),
        *(workdir / name for name in ("detections.json", "config.json")),
        *workdir.glob("timelines/*.png"),
    ]
    return {
        path.relative_to(workdir).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kept
        if not path.name.startswith(".")
    }


def rows(workdir: pathlib.Path) -> str:
    """The numbers of results.json, without the seconds."""
    return (workdir / "results.json").read_text().partition('"seconds"')[0]


# What is deleted of a finished run before the command starts: all from a stage on.
LATER = ("detections", "heads", "classifier", "features", "encoders")


@pytest.mark.parametrize(
    ("stages", "kills"),
    [(2, 1), *(pytest.param(n, 12, marks=pytest.mark.faults) for n in range(1, 6))],
)
def test_kills_at_any_change_of_a_file(finished_run, stages, kills):
    unbroken, _ = finished_run
    workdir = unbroken.with_name(f"killed_{stages}_{kills}")
    shutil.copytree(unbroken, workdir)
    for part in LATER[:stages]:
        shutil.rmtree(workdir / part)
    rng, killed, main = random.Random(stages), 0, commands.main(workdir, commands.OFTEN)
    with forked(ENVIRONMENT) as parent:
        for _ in range(kills):
            ended = parent.run(*main, kill_at=int(2 ** rng.uniform(0, 6.5)))
            killed += ended.code == -9
            assert ended.code in (0, -9), ended
        ended = parent.run(*main)
    print("kills:", killed)
    assert ended.code == 0, ended.err
    assert killed
    assert results(workdir) == results(unbroken)
    assert rows(workdir) == rows(unbroken)
    assert not list(workdir.glob("**/.*.tmp"))
