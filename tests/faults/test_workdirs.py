"""A damaged workdir is mended by the same command, or explained in one line; on a full disk a run
ends in one line, and goes on where there is room.
"""

import random
import shutil
import subprocess
import sys

import commands
import pytest
from damage import KINDS, damage, files
from forked import forked
from look import look
from test_kills import ENVIRONMENT, LATER, results, rows

from lofi_jax.errors import UserError
from lofi_jax.files import remove

LONG = pytest.mark.faults


def numbers(workdir) -> tuple[dict[str, str], str]:
    """All that a run computes, without pictures and its config."""
    kept = {
        name: digest
        for name, digest in results(workdir).items()
        if not name.startswith(("timelines", "config"))
    }
    return kept, rows(workdir)


@pytest.mark.parametrize("count", [1, pytest.param(150, marks=LONG)])
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
            print(inside, kind, ended.code, ended.err[-300:], flush=True)
    print("damaged:", count, "healed:", healed)
    assert failed == []


@pytest.mark.parametrize(
    "sizes",
    [
        (3_000,),
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


# Parts of a workdir, what is in place of them, and whether that heals.
OTHERS = [
    ("results.json", "folder", False),
    ("seconds.json", "folder", False),
    ("detections.json", "folder", False),
    ("curves.png", "folder", False),
    ("timelines", "file", False),
    ("features/acp", "file", False),
    ("features/acp/target_testing_00000.npy", "folder", True),
    ("heads/acp_gtad/checkpoints", "file", False),
    ("encoders/acp/checkpoints", "file", False),
    ("detections/acp_gtad.json", "folder", False),
]
_KEPT = ("timelines",)


@pytest.mark.parametrize(
    ("inside", "other", "heals"),
    [pytest.param(*one, marks=() if one[0] in _KEPT else LONG, id=one[0]) for one in OTHERS],
)
def test_a_part_of_another_type_is_explained_before_the_work(finished_run, inside, other, heals):
    unbroken, _ = finished_run
    workdir = unbroken.with_name("other")
    shutil.rmtree(workdir, ignore_errors=True)
    shutil.copytree(unbroken, workdir)
    path = workdir / inside
    remove(path)
    path.mkdir() if other == "folder" else path.touch()
    with forked(ENVIRONMENT) as parent:
        ended = parent.run(*commands.main(workdir), "--config.timelines=0")
        if not heals:
            assert ended.refused and f"{path}: cannot be written (it is" in ended.err
            assert "delete it" in ended.err and " s left" not in ended.out
            remove(path)
            ended = parent.run(*commands.main(workdir), "--config.timelines=0")
    assert ended.code == 0, ended.err
    assert numbers(workdir) == numbers(unbroken)


FAILED_WRITE = """
import asyncio, threading
import tensorstore
from lofi_jax import errors

async def write(promise, future):
    waiting = asyncio.ensure_future(asyncio.wait_for(future, None))
    await asyncio.sleep(0)
    return waiting

def main():
    promise, future = tensorstore.Promise.new()
    loop = asyncio.new_event_loop()
    waiting = loop.run_until_complete(write(promise, future))
    loop.close()
    other = threading.Thread(target=promise.set_result, args=(1,))
    other.start()
    other.join()
    del waiting
    raise errors.UserError("the disk is full")

errors.run(main)
"""


def test_the_other_writes_of_a_checkpoint_say_nothing_after_a_failure():
    """TensorStore's threads report to an event loop that Orbax has closed."""
    ended = subprocess.run([sys.executable, "-c", FAILED_WRITE], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (1, "error: the disk is full\n")


@pytest.mark.parametrize("count", [2, pytest.param(150, marks=LONG)])
def test_every_reader_of_a_damaged_workdir(finished_run, count):
    """Each part is read as it was, or from the checkpoint before, or refused in one line."""
    unbroken, _ = finished_run
    workdir, rng = unbroken.with_name(f"looked_{count}"), random.Random(count)
    shutil.copytree(unbroken, workdir)
    sound = look(workdir)
    jobs = [(path.relative_to(workdir), kind) for path in files(workdir) for kind in KINDS]
    told = {"same": 0, "refused": 0, "earlier or made again": 0}
    for inside, kind in rng.choices(jobs, k=count):
        part = workdir / inside.parts[0]
        damage(workdir / inside, kind, rng)
        try:
            found = look(workdir)
            other = {name: one for name, one in found.items() if one != sound.get(name)}
        except UserError as error:
            other = {"config": f"error: {error}"}
        assert all(len(line) <= 307 and line.isprintable() for line in other.values())
        changed = [name for name, one in other.items() if not one.startswith("error")]
        # Besides its own, no part has other numbers.
        allowed = (inside.parts[1] if len(inside.parts) > 1 else "seconds",)
        assert all(any(word in name for word in allowed) for name in changed), (
            inside,
            kind,
            changed,
        )
        told[
            "refused" if other and not changed else "earlier or made again" if changed else "same"
        ] += 1
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        whole = unbroken / inside.parts[0]
        shutil.copytree(whole, part) if whole.is_dir() else shutil.copy2(whole, part)
    print(told)
