"""Every row of the paper builds at full size: shapes are checked and the train step is lowered,
nothing is run.
"""

import importlib.util

import commands
import jax
import numpy as np
import programs
import pytest

from lofi_jax import config as configs
from lofi_jax import fidelity
from lofi_jax.config import typed
from lofi_jax.detection.proposals import Suppression
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, HEADS
from lofi_jax.run.networks import make_head
from lofi_jax.training.sharding import make_mesh

FOLDER = commands.ROOT / "configs" / "paper"
NAMED_ENCODERS = [name for name in ENCODERS if name[-1].isdigit()]
SHAPES = {"full": 100, "spatial": 100, "temporal": 25, "spatiotemporal": 50}
SIZES = {"full": 1, "spatial": 2, "temporal": 1, "spatiotemporal": 2**0.5}


def config_of(name, arguments=""):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    c = module.get_config(arguments)
    c.data.video_dir, c.data.annotations = "videos", "annotations.json"
    c = typed(c)
    configs.validate(c)
    return c, module.__doc__


@pytest.mark.parametrize("name", ["activitynet", "hacs", "thumos14"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("encoder", NAMED_ENCODERS)
@pytest.mark.parametrize("low", fidelity.NAMES)
def test_every_combination_is_possible(name, head, encoder, low):
    starts = "icp&acp&acp_plus&arrow_of_time&acp+speednet&lofi"
    arguments = f"encoder={encoder},head={head},fidelity={low},start={starts}"
    c, doc = config_of(name, arguments)
    assert len(configs.rows_of(c)) == 6
    assert configs.rows_of(c)[-1].fidelity == low
    assert f"--config=configs/paper/{name}.py:" in doc and "long_cycle" in doc


def lower_step(c, low):
    """Lowers the joint train step of a config at one fidelity, from shapes alone."""
    at = fidelity.schedule(low, configs.full_fidelity(c), c.joint.factors, 1)(0)
    return at, programs.joint_step(c, make_mesh(1, 1), configs.rows_of(c)[-1], at)


STEPS = [("tsm_resnet18", "gtad", "temporal")]
MORE_STEPS = [
    ("r2plus1d_18", "gtad", "temporal"),
    ("tsm_resnet18", "actionformer", "spatial"),
    ("tsm_resnet18", "gtad", "full"),
    ("tsm_resnet18", "gtad", "spatial"),
    ("tsm_resnet18", "gtad", "spatiotemporal"),
    ("tsm_resnet34", "gtad", "temporal"),
    ("tsm_resnet50", "gtad", "temporal"),
    ("r2plus1d_34", "gtad", "temporal"),
    ("tsm_resnet18", "bmn", "spatial"),
]


@pytest.mark.parametrize(
    ("encoder", "head", "low"),
    [*STEPS, *(pytest.param(*step, marks=pytest.mark.slow) for step in MORE_STEPS)],
)
def test_the_full_size_train_step_lowers(encoder, head, low):
    c, _ = config_of("activitynet", f"encoder={encoder},head={head},fidelity={low}")
    at, lowered = lower_step(c, low)
    side = 112 if encoder.startswith("r2plus1d") else 224
    assert at.snippets == SHAPES[low] and at.height == int(side / SIZES[low])
    assert c.joint.batch_size == 16
    after, terms = lowered.out_info
    before = lowered.in_avals[0][0]
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, before, after)
    assert jax.tree.all(same) and terms["loss"].shape == ()
    assert {x.dtype for x in jax.tree.leaves(after.params)} == {np.dtype("float32")}


@pytest.mark.slow
@pytest.mark.parametrize(("low", "snippets"), [("spatial", 256), ("temporal", 64)])
def test_windows_of_thumos14_lower_at_their_own_length(low, snippets):
    c, _ = config_of("thumos14", f"fidelity={low}")
    at, lowered = lower_step(c, low)
    assert at.snippets == snippets
    after, terms = lowered.out_info
    before = lowered.in_avals[0][0]
    assert jax.tree.map(np.shape, before) == jax.tree.map(np.shape, after)
    assert c.head.options["max_duration"] == 64 and terms["loss"].shape == ()


def test_thumos14_has_the_loss_the_proposals_and_the_suppression_of_gtads_code_for_it():
    c, _ = config_of("thumos14")
    head = make_head(c, "gtad", classes=1)
    # 300 frames, a snippet every 5, are too long.
    assert (head.rules, head.longest) == ("thumos14", 300 // 5 - 1)
    assert configs.suppression(c, "gtad") == Suppression("gaussian", 0.46, 0.5, 0.0, 200)
    other, _ = config_of("thumos14", "head=bmn")
    assert configs.suppression(other, "bmn").floor == (0.5, 0.9)


def test_an_unknown_argument_is_named():
    with pytest.raises(UserError, match="unknown argument 'backbone': it takes start, fidelity"):
        config_of("hacs", "backbone=vgg")
