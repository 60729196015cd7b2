"""Work in a separate process, which may print or crash without harming this one."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping


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
    with tempfile.TemporaryFile("w+") as asked, tempfile.TemporaryFile() as printed:
        json.dump(task, asked)
        asked.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, **environment},
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=printed,
            text=True,
        )
        try:
            yield from map(json.loads, process.stdout)
            if process.wait():
                printed.seek(0)
                raise Ended(_how(process.returncode, printed.read().decode(errors="replace")))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def given() -> tuple[object, Callable[[object], None]]:
    """In such a process: its task, and the function that answers. Everything else it prints goes to
    stderr.
    """
    task, out = json.load(sys.stdin), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return task, lambda answer: print(json.dumps(answer), file=out, flush=True)


def _how(code: int, printed: str) -> str:
    """How a process ended, with its last message."""
    # XLA's failed checks and Python's exceptions; more lines may follow them.
    said = re.findall(r"^(?:F\d{4} .*?\] |[\w.]*Error: )(.*)$", printed, re.MULTILINE)[-1:]
    if code == -signal.SIGKILL:
        said = ["as when the machine's memory is spent"]
    said = [textwrap.shorten(line, 200) for line in said]
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return ": ".join([f"ended with {how}", *said])
