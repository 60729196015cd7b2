"""What the tests share: where the real videos lie."""

import pathlib

import jax
import pytest
from absl import flags

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
