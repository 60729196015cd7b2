"""What the tests share: where the real videos lie, and a run of the main job."""

import os
import pathlib
import subprocess
import tempfile

import commands
import jax
import pytest
from absl import flags

# Tiny models take longer to compile than to run; what many tests compile alike is compiled once.
os.environ["XLA_FLAGS"] = commands.ENVIRONMENT["XLA_FLAGS"]
_CACHE = tempfile.TemporaryDirectory()
jax.config.update("jax_compilation_cache_dir", _CACHE.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

# Eight devices on the CPU, so that every mesh can be tried.
jax.config.update("jax_num_cpu_devices", 8)

# Grain's worker processes read absl's flags, which no command has parsed here.
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real videos and annotations beside the checkout."""
    folder = pathlib.Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real videos are not at hand ({folder} is absent)")
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> tuple[pathlib.Path, subprocess.CompletedProcess]:
    """A workdir in which the main job with the config of tests/tiny.py has ended, and how it ended."""
    workdir = tmp_path_factory.mktemp("main") / "unbroken"
    ended = commands.run(*commands.main(workdir))
    assert ended.returncode == 0, ended.stderr
    return workdir, ended
