"""Several processes on one workdir train as one does, and go on after they were all killed."""

import time

import pytest
from commands import LONG, begun, wait_for_steps
from two_processes import ended_alike, lost_in_one_line, start_two

from lofi_jax.errors import UsageError
from lofi_jax.training import processes


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_end_as_one_process_does(finished_run):
    unbroken, _ = finished_run
    workdir = unbroken.with_name("two")
    until = begun(workdir, unbroken) / "checkpoints" / "2"
    killed = start_two(workdir)
    while not until.exists() and all(process.poll() is None for process in killed):
        time.sleep(0.01)
    killed[0].kill()  # the one that the other is connected to
    assert lost_in_one_line(killed[1])
    said = killed[0].communicate()
    assert until.exists() and not (workdir / "results.json").exists(), said
    resumed = start_two(workdir)
    outs = [process.communicate(timeout=300) for process in resumed]
    assert [process.returncode for process in resumed] == [0, 0], outs
    assert "resuming from 2" in outs[0][0] and "all files are in" in outs[0][0]
    # Each starts, and Gloo announces itself; else only the first speaks.
    starting, *others = outs[1][0].splitlines()
    assert starting == "main: starting JAX" and all("[Gloo]" in line for line in others)
    ended_alike(workdir, unbroken)


@pytest.mark.slow
def test_one_that_is_told_to_end_has_both_save_the_same_step(finished_run):
    unbroken, _ = finished_run
    workdir = unbroken.with_name("two_told")
    folder = begun(workdir, unbroken)
    both = start_two(workdir, *LONG)
    wait_for_steps(folder, *both)
    both[1].terminate()
    errors = [process.communicate(timeout=120)[1] for process in both]
    (saved,) = (folder / "checkpoints").iterdir()
    assert [process.returncode for process in both] == [1, 1], errors
    assert all(f"received SIGTERM; saved at step {saved.name};" in error for error in errors)


@pytest.mark.parametrize(
    "address",
    ["here", "host:1234,2", "host:1234,2,2", "host,2,0", ":1,2,0", "host:0,2,0", "host:65536,2,0"],
)
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(UsageError, match="write auto, or HOST:PORT,COUNT,INDEX"):
        processes._parse(address)
