"""Two processes that train together, of which one or both are killed or stall at any moment: the
other ends in one line, and the same command goes on.
"""

import random
import shutil
import signal
import time

import pytest
from test_kills import LATER
from two_processes import ended_alike, lost_in_one_line, start_two

# The second and the first, to which the other is connected; both; one that stalls.
FAULTS = ("other", "first", "both", "first", "other", "stalls")


def saving(workdir) -> bool:
    """Whether a checkpoint is being written."""
    return any(workdir.glob("*/*/checkpoints/*.orbax-checkpoint-tmp*"))


@pytest.mark.faults
@pytest.mark.parametrize("kills", [20])
def test_two_processes_lost_at_any_moment(finished_run, kills):
    unbroken, _ = finished_run
    workdir, rng = unbroken.with_name("two_lost"), random.Random(kills)
    shutil.copytree(unbroken / "data", workdir / "data")
    told, failed = dict.fromkeys((*FAULTS, "while saving", "ended before"), 0), []
    for i in range(kills):
        if (workdir / "results.json").exists():
            (workdir / "results.json").unlink()
            for part in LATER:
                shutil.rmtree(workdir / part)
        fault = FAULTS[i % len(FAULTS)]
        both = start_two(workdir, "--config.timelines=0")
        assert both[0].stdout
        for line in both[0].stdout:
            if line.startswith("curves, once it trains"):
                break
        until, in_a_save = time.monotonic() + rng.uniform(0, 45), i % 2
        while all(process.poll() is None for process in both) and time.monotonic() < until:
            if in_a_save and saving(workdir):
                told["while saving"] += 1
                break
            time.sleep(0.001)
        if any(process.poll() is not None for process in both):
            codes = [process.communicate(timeout=150) and process.returncode for process in both]
            told["ended before"] += 1
            if codes != [0, 0]:
                failed.append((i, fault, codes))
            continue
        told[fault] += 1
        lost = both if fault == "both" else [both[fault in ("other", "stalls")]]
        for process in lost:
            process.send_signal(signal.SIGSTOP if fault == "stalls" else signal.SIGKILL)
        begun = time.monotonic()
        for process in both:
            if process not in lost and not lost_in_one_line(process):
                failed.append((i, fault, process.returncode))
        print(i, fault, f"{time.monotonic() - begun:.1f} s", failed[-1:], flush=True)
        for process in lost:
            process.kill()
            process.communicate()
    both = start_two(workdir, "--config.timelines=0")
    outs = [process.communicate(timeout=2000) for process in both]
    print("two processes:", told)
    assert [process.returncode for process in both] == [0, 0], outs
    assert failed == []
    ended_alike(workdir, unbroken)
