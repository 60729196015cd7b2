"""What the tests share: where the real videos lie, and a run of the main job."""

import fcntl
import os
import pathlib
import pickle
import signal
import subprocess
import tempfile

import commands
import jax
import jaxtyping
import pytest
from absl import flags

# A shell starts what runs in the background with SIGINT ignored, and so would be the commands that
# the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything of the package is imported: what its signatures say of types and shapes is
# checked at every call.
jaxtyping.install_import_hook("lofi_jax", "typechecks.check")

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
    """A workdir in which the main job with the config of tests/tiny.py has ended, which saved after
    every step, and how it ended.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = (
            folder.parent
        )  # of all of pytest's processes, the first that needs the run makes it
    folder /= "main"
    folder.mkdir(exist_ok=True)
    workdir, how = folder / "unbroken", folder / "ended"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not how.exists():
            ended = commands.run(*commands.main(workdir, commands.OFTEN))
            assert ended.returncode == 0, ended.stderr
            how.write_bytes(pickle.dumps(ended))
    return workdir, pickle.loads(how.read_bytes())
