"""Work in a separate process, which may print or crash without harming this one."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Ended(Exception):
    """A process that ended before its work was done; its text says how, in one line."""


def answers(module: str, task, environment: Mapping[str, str]) -> Iterator:
    """Gives `python -m MODULE` a task and yields its answers as they arrive.

    Args:
        module: calls `given`.
        task: JSON-serializable, like the answers.
        environment: variables in addition to this process's.

    Raises:
        Ended: the process failed.
    """
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None  # they are pipes
        try:
            print(json.dumps(task), file=process.stdin, flush=True)
            yield from map(json.loads, process.stdout)
            if process.wait():
                printed.seek(0)
                raise Ended(_how(process.returncode, printed.read().decode(errors="replace")))
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def given() -> tuple[Any, Callable[[Any], None]]:
    """In such a process: its task, and the function that answers. Everything else it prints goes to
    stderr.

    It ends with the process that gave the task, however that ends.
    """
    task, out = json.loads(sys.stdin.readline()), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    return task, lambda answer: print(json.dumps(answer), file=out, flush=True)


def _end_with_stdin() -> None:
    os.read(0, 1)  # nothing more comes, until the other end is closed
    os._exit(1)


def _how(code: int, printed: str) -> str:
    """How a process ended, with its last message."""
    # XLA's failed checks and Python's exceptions; more lines may follow them.
    said = re.findall(r"^(?:F\d{4} .*?\] |[\w.]*Error: )(.*)$", printed, re.MULTILINE)[-1:]
    if code == -signal.SIGKILL:
        said = ["as when the machine's memory is spent"]
    said = [textwrap.shorten(line, 200) for line in said]
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return ": ".join([f"ended with {how}", *said])
