"""Ctrl-C in the commands; that a training saves is in test_main.py."""

import signal
import subprocess
import sys

import pytest

COMMAND = """
import sys, time
from lofi_jax import errors
sys.argv = ["command"]
def main():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        {finally_}
errors.run(main)
"""


@pytest.fixture
def begun(request):
    """A command that has begun, and what it does when it is interrupted."""
    code = COMMAND.format(finally_=request.param)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        yield process
        process.kill()


@pytest.mark.parametrize("begun", ["pass"], indirect=True)
def test_one_ends_with_a_line(begun):
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=30)
    assert (out, err, begun.returncode) == ("", "interrupted\n", 130)


@pytest.mark.parametrize("begun", ["print('tidying', flush=True); time.sleep(60)"], indirect=True)
def test_two_end_at_once(begun):
    begun.send_signal(signal.SIGINT)
    assert begun.stdout.readline() == "tidying\n"
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=30)
    # Python may come to say its line before the thread that counts the signals ends it.
    assert (out, begun.returncode) == ("", 130) and err in ("", "interrupted\n")


# Which lasts in one call of a C function that lets other threads run, as compiling does.
BUSY = "import ctypes; ctypes.CDLL(None).sleep(60)"


@pytest.mark.parametrize("begun", [BUSY], indirect=True)
def test_two_end_at_once_where_python_does_not_run(begun):
    begun.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        begun.communicate(timeout=1)
    begun.send_signal(signal.SIGINT)
    begun.communicate(timeout=30)
    assert begun.returncode == 130
