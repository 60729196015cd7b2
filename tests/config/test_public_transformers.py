"""VideoPrism and V-JEPA at their public sizes with AdaTAD's settings: every fidelity is checked,
and what trains and comes out of a window is known, from shapes alone.
"""

import importlib.util

import commands
import jax
import numpy as np
import pytest

from lofi_jax import config as configs
from lofi_jax import fidelity
from lofi_jax.config import typed
from lofi_jax.errors import UserError
from lofi_jax.run import networks

# Channels of a feature, features of a window of 768 frames, and pixels of a side of 160 or less.
ENCODERS = {
    "videoprism_base": (768, 768, 144),
    "videoprism_large": (1024, 768, 144),
    "vjepa2_large": (1024, 384, 160),
}
LARGE = ("videoprism_large", "vjepa2_large")


def config_of(name, arguments):
    path = commands.ROOT / "configs" / "adatad" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    c = module.get_config(arguments)
    c.data.video_dir, c.data.annotations = "videos", "annotations.json"
    c.encoder_checkpoint = "converted"
    c = typed(c)
    configs.validate(c)
    return c


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder", ["videoprism_base", *(pytest.param(e, marks=pytest.mark.slow) for e in LARGE)]
)
def test_every_fidelity_goes_with_clips_and_patches(encoder):
    names = ("thumos14", "activitynet", "hacs") * 2
    for name, low in zip(names, fidelity.NAMES, strict=True):
        networks.check(config_of(name, f"encoder={encoder},fidelity={low}"))


@pytest.mark.parametrize("adapter", ["tia", "side"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_window_of_frames_becomes_features(encoder, adapter):
    c = config_of("thumos14", f"encoder={encoder},adapter={adapter}")
    module = networks.make_encoder(c)
    width, length, side = ENCODERS[encoder]
    assert (c.data.height, c.data.width, c.data.window) == (side, side, 768)
    frames = jax.ShapeDtypeStruct((1, 768, side, side, 3), np.uint8)
    features, made = jax.eval_shape(
        lambda x: module.init_with_output(jax.random.key(0), x, chunk=4), frames
    )
    assert features.shape == (1, length, width) and features.dtype == np.float32
    count = sum(x.size for x in jax.tree.leaves(made["params"]["adapters"]))
    # down, up, depthwise and 1 x 1 convolution, their biases, and a scale.
    inner = width // 4
    each = 2 * width * inner + inner + width + 3 * inner + inner + inner**2 + inner + 1
    depth = {"videoprism_base": 16, "videoprism_large": 28, "vjepa2_large": 24}[encoder]
    beside = 12 if encoder == "vjepa2_large" else 4
    assert count == each * (depth if adapter == "tia" else beside)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_equal_blocks_are_one_loop(encoder):
    c = config_of("thumos14", f"encoder={encoder}")
    module, side = networks.make_encoder(c), ENCODERS[encoder][2]
    frames = jax.ShapeDtypeStruct((1, 768, side, side, 3), np.uint8)
    variables = jax.eval_shape(module.init, jax.random.key(0), frames)

    def total(adapters, backbone, frames):
        params = {**backbone["params"], "adapters": adapters}
        return module.apply({"params": params}, frames, chunk=4).sum()

    adapters = variables["params"].pop("adapters")
    lowered = jax.jit(jax.grad(total)).lower(adapters, variables, frames)
    products = lowered.as_text().count("stablehlo.dot_general")
    # A block has six or eight products and its adapter three; forward, again, and backward.
    loops = 1 if encoder == "vjepa2_large" else 2
    assert products < 60 * loops


def test_the_command_line_names_the_version_of_v_jepa():
    c = config_of("thumos14", "encoder=vjepa2_large")
    assert c.encoder.options["version"] == "2"


def test_a_patch_that_does_not_divide_the_image_says_what_would():
    c = config_of("thumos14", "encoder=videoprism_base")
    data = {**vars(c.data), "height": 160}
    c = type(c)(**{**vars(c), "data": type(c.data)(**data)})
    with pytest.raises(UserError, match=r"18 pixels do not divide a height of 160: 144 or 162"):
        networks.check(c)
