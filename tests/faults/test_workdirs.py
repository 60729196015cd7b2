"""A damaged workdir is mended by the same command, or explained in one line; on a full disk a run
ends in one line, and goes on where there is room.
"""

import random
import shutil

import commands
import pytest
from damage import KINDS, damage, files
from forked import forked
from test_kills import ENVIRONMENT, LATER, results, rows

LONG = pytest.mark.faults


def numbers(workdir) -> tuple[dict[str, str], str]:
    """All that a run computes, without pictures and its config."""
    kept = {
        name: digest
        for name, digest in results(workdir).items()
        if not name.startswith(("timelines", "config"))
    }
    return kept, rows(workdir)


@pytest.mark.parametrize("count", [4, pytest.param(150, marks=LONG)])
def test_damaged_workdirs(finished_run, count):
    unbroken, _ = finished_run
    workdir, rng = unbroken.with_name(f"damaged_{count}"), random.Random(count)
    jobs = [(path.relative_to(unbroken), kind) for path in files(unbroken) for kind in KINDS]
    healed, failed = 0, []
    with forked(ENVIRONMENT) as parent:
        for inside, kind in rng.sample(jobs, count):
            shutil.rmtree(workdir, ignore_errors=True)
            shutil.copytree(unbroken, workdir)
            damage(workdir / inside, kind, rng)
            ended = parent.run(*commands.main(workdir), "--config.timelines=0")
            same = ended.code == 0 and numbers(workdir) == numbers(unbroken)
            healed += same
            if not (same or ended.refused):
                failed.append((str(inside), kind, ended.code, ended.err[-300:]))
    print("damaged:", count, "healed:", healed)
    assert failed == []


@pytest.mark.parametrize(
    "sizes",
    [
        (3_000, 12_000),
        pytest.param([int(500 * 1.6**i) for i in range(14)], marks=LONG),
    ],
    ids=["few", "many"],
)
def test_a_full_disk_at_any_size_of_a_file(finished_run, sizes):
    unbroken, _ = finished_run
    workdir = unbroken.with_name(f"full_{len(sizes)}")
    shutil.copytree(unbroken, workdir)
    for part in LATER[:4]:
        shutil.rmtree(workdir / part)
    with forked(ENVIRONMENT) as parent:
        for size in sizes:
            ended = parent.run(*commands.main(workdir), "--config.timelines=0", most_bytes=size)
            assert ended.refused or ended.code == 0, ended
        ended = parent.run(*commands.main(workdir), "--config.timelines=0")
    assert ended.code == 0, ended.err
    assert numbers(workdir) == numbers(unbroken)
