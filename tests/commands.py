"""The package's commands as a user runs them: in processes of their own, with the config of
tests/tiny.py.
"""

import atexit
import functools
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import time

from forked import Forked

ROOT = pathlib.Path(__file__).parents[1]
TINY = ROOT / "tests" / "tiny.py"

# Tiny models take longer to compile than to run; XLA's fusion emitters, without which jax 0.10 can
# do, take most of it.
_FAST = "--xla_backend_optimization_level=0"
if importlib.metadata.version("jax").startswith("0.10."):
    _FAST += " --xla_cpu_use_fusion_emitters=false"
_FLAGS = f"{os.environ.get('XLA_FLAGS', '')} {_FAST}"
ENVIRONMENT = {**os.environ, "XLA_FLAGS": _FLAGS, "JAX_PLATFORMS": "cpu"}


def start(command: str, *arguments: str, **options) -> subprocess.Popen:
    """Starts `python -m lofi_jax.COMMAND ARGUMENTS`; options are those of Popen."""
    return subprocess.Popen(
        [sys.executable, "-m", f"lofi_jax.{command}", *map(str, arguments)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(command: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs a command to its end, in a fork of a process that has imported the package: the imports
    take longer than most commands. `test_wheel` starts each one afresh.
    """
    ended = _parent().run(command, *arguments)
    return subprocess.CompletedProcess([command, *arguments], ended.code, ended.out, ended.err)


@functools.cache
def _parent() -> Forked:
    parent = Forked(ENVIRONMENT)
    atexit.register(parent.close)
    return parent


def run_each(jobs: dict[str, list]) -> dict[str, subprocess.CompletedProcess]:
    """Runs the commands of a dict, one after the other."""
    return {name: run(*job) for name, job in jobs.items()}


def refused(ended: subprocess.CompletedProcess, *says: str) -> bool:
    """Whether a command ended as it should on an error the user can fix: with exit code 1 and one
    line that says what.
    """
    return _ended_in_a_line(ended, 1, *says)


def misused(ended: subprocess.CompletedProcess, *says: str) -> bool:
    """Whether a command ended as it should on a wrong flag or config: likewise, with exit code
    2.
    """
    return _ended_in_a_line(ended, 2, *says)


def _ended_in_a_line(ended: subprocess.CompletedProcess, code: int, *says: str) -> bool:
    one_line = ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    return ended.returncode == code and one_line and all(text in ended.stderr for text in says)


def main(workdir: pathlib.Path, *arguments: str, config: pathlib.Path = TINY) -> list[str]:
    """The arguments of lofi_jax.main in a workdir; what is compiled is shared with the workdirs
    beside it.
    """
    cache = f"--config.log.cache_dir={workdir.parent / 'cache'}"
    return ["main", f"--config={config}", f"--workdir={workdir}", cache, *arguments]


OFTEN = "--config.log.checkpoint_seconds=0"  # saves after every step

# A joint training of minutes, that goes on from another run's first stage: see `begun`.
LONG = (
    "--config.stages=joint",
    "--config.joint.epochs=5000",
    "--config.log.checkpoint_seconds=1000",
)


def begun(workdir: pathlib.Path, other: pathlib.Path) -> pathlib.Path:
    """Gives a workdir the first stage of another; returns where its joint training will be."""
    for part in ("data", "encoders/acp"):
        shutil.copytree(other / part, workdir / part)
    return workdir / "encoders" / "lofi_temporal_gtad"


def wait_for_steps(folder: pathlib.Path, *started: subprocess.Popen) -> None:
    """Waits until a training has logged a step, or a process ends."""
    curve = folder / "curve.jsonl"
    while all(process.poll() is None for process in started):
        if curve.exists() and curve.stat().st_size:
            return
        time.sleep(0.01)
