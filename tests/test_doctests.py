"""The examples in the docstrings, which show each part of the project in a few lines, do what they
say.
"""

import doctest
import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lofi_jax

ROOT = pathlib.Path(lofi_jax.__file__).parent
# Modules that define flags can be imported only one at a time, and have no examples.
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in ROOT.rglob("*.py")
    if "\n    >>> " in path.read_text()
)
USUAL = {"jax": jax, "jnp": jnp, "np": np, "optax": optax}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    done = doctest.testmod(module, extraglobs=USUAL, optionflags=doctest.ELLIPSIS)
    assert done.attempted > 0 and done.failed == 0


def test_every_part_has_an_example():
    wanted = {
        "lofi_jax.comma_separated",
        "lofi_jax.detection.bootstrap",
        "lofi_jax.detection.diagnosis",
        "lofi_jax.detection.metrics",
        "lofi_jax.fidelity",
        "lofi_jax.models.heads.actionformer",
        "lofi_jax.models.heads.bmn",
        "lofi_jax.models.heads.gtad",
        "lofi_jax.models.encoders.r2plus1d",
        "lofi_jax.models.encoders.tsm",
        "lofi_jax.results.by_ending",
        "lofi_jax.results.detections",
        "lofi_jax.stages.joint",
    }
    assert wanted <= set(MODULES)
