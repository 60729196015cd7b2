"""The configs of heads on features made elsewhere build at full size; nothing is run."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax import config as configs
from lofi_jax.config import typed
from lofi_jax.errors import UserError
from lofi_jax.run.networks import make_head
from lofi_jax.shipped import load, located
from lofi_jax.stages import head as stage
from lofi_jax.training import optimizer
from lofi_jax.training.sharding import make_mesh
from lofi_jax.training.step import initial_state, make_step

CLASSES, CHANNELS = 20, 2048
# The parameters of the authors' code for THUMOS14.
SIZES = {"actionformer": 29_251_612, "tridet": 15_989_604}


def config_of(head):
    c = load(f"features/thumos14:head={head}")
    c.data.feature_dirs, c.data.annotations = "features", "annotations.json"
    c = typed(c)
    configs.validate(c)
    configs.validate_data(c)
    return c


def training_step(c, head):
    """The train step of stage 3, and the shapes of state and batch."""
    settings, module = c.head_training, make_head(c, head, CLASSES)
    rate = optimizer.learning_rate(settings.optimizer, 100, 10)
    transform = optimizer.make(settings.optimizer, rate)
    frozen = settings.optimizer.frozen
    videos, snippets = settings.batch_size, configs.full_fidelity(c).snippets

    def initial():
        example = jnp.zeros((1, snippets, CHANNELS))
        made = stage.initial(module, example, c.seed)
        return initial_state(*made, transform, frozen, settings.ema)

    batch = {
        "features": jax.ShapeDtypeStruct((videos, snippets, CHANNELS), jnp.float32),
        "segments": jax.ShapeDtypeStruct((videos, 50, 2), jnp.float32),
        "labels": jax.ShapeDtypeStruct((videos, 50), jnp.int32),
        "valid": jax.ShapeDtypeStruct((videos, 50), bool),
    }
    loss = stage.make_loss(module, c.dtype, make_mesh(1, 1))
    step = jax.jit(make_step(loss, transform, c.seed, frozen, settings.ema), donate_argnums=0)
    return step, jax.eval_shape(initial), batch


@pytest.mark.parametrize("head", ["actionformer", pytest.param("tridet", marks=pytest.mark.slow)])
def test_the_full_size_train_step_lowers(head):
    c = config_of(head)
    step, state, batch = training_step(c, head)
    assert sum(x.size for x in jax.tree.leaves(state.params)) == SIZES[head]
    assert jax.tree.map(np.shape, state.ema) == jax.tree.map(np.shape, state.params)
    after, terms = step.lower(state, batch).out_info
    assert jax.tree.map(np.shape, after) == jax.tree.map(np.shape, state)
    assert set(terms) == {"loss", "classification", "regression"}
    suppression = configs.suppression(c, head)
    assert (suppression.sigma, suppression.min_score, suppression.top_k) == (0.5, 0.001, 2000)


def test_the_docstring_tells_the_command_and_what_to_expect():
    text = pathlib.Path(located("features/thumos14")).read_text()
    assert "--config=configs/features/thumos14.py:head=tridet" in text
    assert "68.44" in text and "69.60" in text


@pytest.mark.parametrize(
    ("argument", "says"),
    [("head=gtad", "head=gtad: choose one of actionformer, tridet"), ("seed=1", "it takes head")],
)
def test_a_wrong_argument_is_named(argument, says):
    with pytest.raises(UserError, match=says):
        load(f"features/thumos14:{argument}")
