"""AdaTAD's configs at full size: shapes are checked and the train step is lowered, nothing is run;
and the options that encoders of windows refuse.
"""

import jax
import numpy as np
import programs
import pytest

from lofi_jax import config as configs
from lofi_jax import fidelity
from lofi_jax.config import load, typed
from lofi_jax.errors import UserError
from lofi_jax.run import divisibility, networks
from lofi_jax.training.sharding import make_mesh

NAMES = ("activitynet", "hacs", "thumos14")
ENCODERS = [f"videomae_{size}" for size in ("small", "base", "large", "huge", "giant")]


def config_of(name, arguments="", **changes):
    c = load(f"adatad/{name}:{arguments}")
    c.data.video_dir, c.data.annotations = "videos", "annotations.json"
    c.encoder_checkpoint = "kinetics"
    c.update_from_flattened_dict({key.replace("__", "."): v for key, v in changes.items()})
    c = typed(c)
    configs.validate(c)
    configs.validate_data(c)
    networks.check(c)
    return c


# Every fidelity with a dataset, an adapter and a head.
COMBINATIONS = (
    ("full", "thumos14", "tia", "actionformer"),
    ("spatial", "activitynet", "side", "actionformer_agnostic"),
    ("temporal", "hacs", "none", "gtad"),
    ("spatiotemporal", "thumos14", "side", "tridet"),
    ("short_cycle", "activitynet", "none", "gtad"),
    ("long_cycle", "hacs", "tia", "actionformer_agnostic"),
)
assert {low for low, *_ in COMBINATIONS} == set(fidelity.NAMES)


@pytest.mark.parametrize(
    "encoder", [ENCODERS[0], *(pytest.param(e, marks=pytest.mark.slow) for e in ENCODERS[1:])]
)
def test_every_encoder_is_possible(encoder):
    for low, name, adapter, head in COMBINATIONS:
        c = config_of(name, f"encoder={encoder},adapter={adapter},fidelity={low},head={head}")
        divisibility.check(c, make_mesh(1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_step_lowers_at_full_size_and_its_state_holds_no_moments_of_the_backbone(name):
    low = {"thumos14": "full", "activitynet": "spatiotemporal", "hacs": "temporal"}[name]
    c = config_of(name, f"encoder=videomae_small,fidelity={low}")
    (at,) = configs.fidelities(c, low)
    sizes = {"full": (768, 160), "spatiotemporal": (96, 112), "temporal": (48, 160)}
    assert (at.snippets, at.height) == sizes[low]
    lowered = programs.joint_step(c, make_mesh(1, 1), configs.rows_of(c)[-1], at)
    before, after = lowered.in_avals[0][0], lowered.out_info[0]
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, before, after)
    assert jax.tree.all(same)
    assert {x.dtype for x in jax.tree.leaves(after.params)} == {np.dtype("float32")}
    trained = sum(
        x.size
        for part, tree in {**after.params["encoder"], "head": after.params["head"]}.items()
        if part in ("adapters", "head")
        for x in jax.tree.leaves(tree)
    )
    moments = sum(x.size for x in jax.tree.leaves(after.opt_state) if x.dtype == np.float32)
    assert moments == 2 * trained


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data__height": 150}, "patches of 16 pixels do not divide a height of 150: 144 or 160"),
        ({"data__window": 760}, "clips of 16 frames do not divide the 760 .*: 752 or 768 would"),
        ({"mesh__snippet": 2}, "config.mesh.snippet is 2, but videomae_base mixes time"),
        ({"joint__keep": "convolutions"}, "config.joint.keep is 'convolutions', of which videomae"),
        ({"encoder__adapter": "lora"}, "config.encoder.adapter is 'lora': choose one of none, tia"),
        ({"encoder__backbone": "warm"}, "config.encoder.backbone is 'warm': choose one of trained"),
        (
            {"encoder__adapter": "side", "encoder__backbone": "trained"},
            "no gradient in the backbone: set config.encoder.backbone to frozen",
        ),
        ({"data__frames": 2, "data__stride": 4}, "must be equally spaced: set it to 0"),
    ],
)
def test_options_that_do_not_go_with_windows_are_refused_before_any_work(changes, says):
    with pytest.raises(UserError, match=says):
        config_of("thumos14", **changes)


def test_low_pictures_are_whole_patches():
    c = config_of("thumos14", "fidelity=spatiotemporal")
    (at,) = configs.fidelities(c, "spatiotemporal")
    assert (at.snippets, at.height, at.width) == (384, 112, 112)
    with pytest.raises(UserError, match="do not divide a height of 113: 112 or 128 would do"):
        config_of("thumos14", "fidelity=spatiotemporal", joint__factors__multiple=1)


def test_stage_1_needs_clips_that_the_encoder_can_see():
    c = config_of("thumos14", encoder_checkpoint="")
    with pytest.raises(
        UserError, match="config.data.frames is 1, and stage 1 .*acp.* of 16 do not"
    ):
        divisibility.check(c, make_mesh(1, 1))


def test_a_chunk_counts_clips():
    c = config_of("thumos14", joint__chunk=5)
    with pytest.raises(
        UserError, match="config.joint.chunk: a chunk of 5 .* does not divide the 96"
    ):
        divisibility.check(c, make_mesh(1, 1))
