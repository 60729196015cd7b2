"""The encoders by name: their sizes, their shapes, and what a feature may depend on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS
from lofi_jax.models.encoders.i3d import I3D
from lofi_jax.models.encoders.r2plus1d import FORMS, R2Plus1D, middle_channels
from lofi_jax.models.encoders.tsm import TSM

WIDTHS = {
    "tsm_resnet18": 512,
    "tsm_resnet34": 512,
    "tsm_resnet50": 2048,
    "r2plus1d_18": 512,
    "r2plus1d_34": 512,
    "r2plus1d_34_mmaction2": 512,
    "i3d": 1024,
}


def abstract(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.uint8)


@pytest.mark.parametrize(
    ("name", "classes", "published"),
    [
        ("tsm_resnet18", 1000, 11_689_512),
        ("tsm_resnet34", 1000, 21_797_672),
        ("tsm_resnet50", 1000, 25_557_032),
        ("r2plus1d_18", 400, 31_505_325),
        ("r2plus1d_34_mmaction2", 400, 63_759_281),
        ("i3d", 400, 12_697_264),
    ],
)
def test_the_number_of_parameters_is_the_published_one(name, classes, published):
    variables = jax.eval_shape(
        ENCODERS[name]().init, jax.random.key(0), abstract(1, 8, 112, 112, 3)
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count + (WIDTHS[name] + 1) * classes == published


def test_the_34_layers_of_tsp_have_their_own_channels_between_halves():
    variables = jax.eval_shape(
        ENCODERS["r2plus1d_34"]().init, jax.random.key(0), abstract(1, 8, 112, 112, 3)
    )["params"]
    found = {
        f"{layer}.{conv}": variables[layer][conv]["spatial"]["kernel"].shape[-1]
        for layer in ("layer1_0", "layer2_0", "layer3_0", "layer4_0", "layer4_1")
        for conv in ("conv1", "conv2")
    }
    # As in the port of the authors' weights to PyTorch: 288, 576 and 1152 where torchvision has
    # 230, 460 and 921.
    assert found == {
        "layer1_0.conv1": 144,
        "layer1_0.conv2": 144,
        "layer2_0.conv1": 230,
        "layer2_0.conv2": 288,
        "layer3_0.conv1": 460,
        "layer3_0.conv2": 576,
        "layer4_0.conv1": 921,
        "layer4_0.conv2": 1152,
        "layer4_1.conv1": 1152,
        "layer4_1.conv2": 1152,
    }
    assert variables["stem"]["spatial"]["kernel"].shape == (7, 7, 3, 45)
    assert middle_channels(3, 64, 49) == 83  # mmaction2's stem


@pytest.mark.parametrize("name", WIDTHS)
def test_any_image_and_any_number_of_frames_give_float32_features(name):
    encoder = ENCODERS[name]()
    frames = abstract(2, 7, 158, 79, 3)
    features, variables = jax.eval_shape(encoder.init_with_output, jax.random.key(0), frames)
    assert features.shape == (2, WIDTHS[name]) and features.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_a_step_of_i3d_is_eight_frames_and_a_shorter_ones_four():
    for end_point, steps in (("Mixed_5c", 8), ("Mixed_4f", 16)):
        encoder = I3D(end_point, divisor=16)
        key, frames = jax.random.key(0), abstract(2, 64, 32, 32, 3)
        features, _ = jax.eval_shape(
            functools.partial(encoder.init_with_output, method="steps"), key, frames
        )
        assert features.shape == (2, steps, {"Mixed_5c": 64, "Mixed_4f": 52}[end_point])


THIN = {
    "bottleneck": functools.partial(
        ENCODERS["tsm_resnet50"],
        stage_sizes=(1, 1),
        widths=(8, 16),
        stem="small",
        shift_div=4,
    ),
    **{
        form: functools.partial(R2Plus1D, stage_sizes=(1, 1), widths=(8, 16), form=form)
        for form in FORMS
    },
    "i3d": functools.partial(I3D, end_point="Mixed_4b", divisor=8),
}


@pytest.fixture(scope="module", params=THIN)
def thin(request):
    """A thin encoder, random variables and three snippets."""
    encoder = THIN[request.param]()
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 5, 18, 14, 3), np.uint8)
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), frames)

    def draw(leaf):
        scale = 1 if leaf.ndim == 1 else leaf.size**-0.5 * 4
        return np.abs(rng.normal(0, scale, leaf.shape) + 0.1).astype(np.float32)

    return encoder, jax.tree.map(draw, shapes), frames


def test_a_thin_variant_computes_in_its_dtype_alone(thin):
    encoder, variables, frames = thin
    lowered = jax.jit(encoder.clone(dtype=jnp.bfloat16).apply).lower(variables, frames)
    assert lowered.out_info.dtype == jnp.float32
    lines = [x for x in lowered.as_text().splitlines() if "stablehlo.convolution" in x]
    assert lines and all("xbf16>" in line and "xf32>" not in line for line in lines)


def test_a_thin_variant_sees_the_order_of_frames_in_a_snippet_and_no_other_snippet(thin):
    encoder, variables, frames = thin
    encode = jax.jit(encoder.apply)
    together = encode(variables, frames)
    assert together.shape[0] == 3
    assert np.abs(together - encode(variables, frames[:, ::-1])).max() > 1e-3
    others_changed = frames.copy()
    others_changed[1:] = 255 - others_changed[1:]
    changed = encode(variables, others_changed)
    np.testing.assert_allclose(changed[0], together[0], rtol=1e-5, atol=1e-5)
    assert np.abs(changed[1:] - together[1:]).max() > 1e-3


def test_a_thin_variant_learns_its_statistics_in_training_alone(thin):
    encoder, variables, frames = thin

    @functools.partial(jax.jit, static_argnums=0)
    def statistics(train):
        return encoder.apply(variables, frames, train, mutable="batch_stats")[1]

    new, same = statistics(True), statistics(False)
    old = variables["batch_stats"]
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: (a != b).any(), new["batch_stats"], old)))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: (a == b).all(), same["batch_stats"], old)))


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (TSM((1, 1), (8, 16), stem="large"), "stem is imagenet or small, not 'large'"),
        (TSM((1, 1), (8, 16, 32)), "needs as many widths"),
        (
            R2Plus1D((1, 1), (8, 16), form="caffe"),
            "one of torchvision, vmz, mmaction2, not 'caffe'",
        ),
        (R2Plus1D((1, 1)), "needs as many widths"),
        (I3D("Mixed_6a"), "end point is one of Mixed_3b, .*, Mixed_5c, not 'Mixed_6a'"),
    ],
)
def test_an_impossible_encoder_is_refused(encoder, message):
    with pytest.raises(UserError, match=message):
        jax.eval_shape(encoder.init, jax.random.key(0), abstract(1, 2, 16, 16, 3))
