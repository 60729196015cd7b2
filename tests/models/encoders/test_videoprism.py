"""VideoPrism against a reference in plain PyTorch: through its public file, layer by layer, at
every grid, and its gradients.
"""

import functools
import pathlib

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import lofi_jax
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, VideoPrism
from lofi_jax.run.checkpoints import load_encoder
from lofi_jax.weights import convert, videoprism_layout

torch = pytest.importorskip("torch", reason="the reference network needs the extra [torch]")
import torch_adapters  # noqa: E402
import torch_videoprism as reference  # noqa: E402

SIZES = {"width": 12, "depths": (3, 2), "heads": 2, "positions": (4, 3, 3), "patch": 6}
CLIP = 4


@pytest.fixture(scope="module")
def arrays():
    """A public checkpoint of these sizes, at random; logits large enough to feel the cap."""
    rng = np.random.default_rng(0)
    arrays = {}
    for key, shape in reference.shapes(**SIZES).items():
        large = "/w" in key or "kernel" in key
        fan = {"query": 0.5, "key": 0.5}.get(key.split("/")[-2], SIZES["width"]) if large else 9.0
        arrays[key] = rng.standard_normal(shape, np.float32) / np.float32(fan**0.5)
    return arrays


@pytest.fixture(scope="module")
def variables(arrays):
    return placed(arrays)


def placed(arrays):
    """As our variables."""
    layout = videoprism_layout.layout
    paths = dict(layout(key, array) for key, array in arrays.items())
    return unflatten_dict(paths, sep=".")


def images(times, height, width, clips=2):
    return np.random.default_rng(1).integers(0, 256, (1, clips * times, height, width, 3), np.uint8)


def expected(arrays, frames, clip, depths=SIZES["depths"], **how):
    """The reference's features (1, F, C), as a tensor."""
    clips = torch.tensor(frames / np.float32(255)).unflatten(1, (-1, clip))[0]
    sizes = SIZES["positions"], SIZES["patch"]
    tokens = reference.encode(arrays, clips, *sizes, depths, **how)
    return tokens.mean(2).flatten(0, 1)[None]


def tensors(arrays):
    return {key: torch.tensor(array) for key, array in arrays.items()}


def shorter(tree, depths):
    """The variables with the first blocks of each stage."""
    params = tree["params"]
    stages = dict(zip(("spatial", "temporal"), depths, strict=True))
    cut = {name: jax.tree.map(lambda x: x[:n], params[name]) for name, n in stages.items()}  # noqa: B023
    return {"params": {**params, **cut}}


@pytest.mark.parametrize("depths", [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2)])
def test_each_layer_equals_the_reference(depths, arrays, variables):
    frames = images(CLIP, 18, 18)
    encoder = VideoPrism(**{**SIZES, "depths": depths}, clip=CLIP)
    encode = jax.jit(functools.partial(encoder.apply, chunk=1))
    wanted = expected(tensors(arrays), frames, CLIP, depths)
    found = encode(shorter(variables, depths), frames)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize(("clip", "height", "width"), [(2, 12, 30), (6, 24, 6)])
def test_positions_follow_the_grid(clip, height, width, arrays, variables):
    frames = images(clip, height, width)
    found = jax.jit(VideoPrism(**SIZES, clip=clip).apply)(variables, frames)
    np.testing.assert_allclose(found, expected(tensors(arrays), frames, clip), atol=2e-5)


def adapted(encoder, seed=3):
    """Parameters of its adapters, none of them special."""
    frames = jax.ShapeDtypeStruct((1, encoder.clip, 18, 18, 3), np.uint8)
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), frames)["params"]["adapters"]
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: rng.standard_normal(x.shape, np.float32) * 0.4, shapes)


def layer(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def test_gradients_with_adapters_equal_the_reference_in_chunks(arrays, variables):
    frames = images(2, 12, 18)
    cotangent = np.random.default_rng(2).standard_normal((1, 4, 12), np.float32)
    encoder = VideoPrism(**SIZES, clip=2, adapter="tia")
    ours = {"params": {**variables["params"], "adapters": adapted(encoder)}}

    @jax.jit
    @jax.grad
    def gradient(variables):
        return (encoder.apply(variables, frames, chunk=1) * cotangent).sum()

    stages = dict(zip(("spatial", "temporal"), SIZES["depths"], strict=True))
    trees = ours["params"]["adapters"]
    modules = {
        stage: [torch_adapters.made(layer(trees[stage], i)) for i in range(depth)]
        for stage, depth in stages.items()
    }

    def after(stage, i, x):
        window = x.flatten(0, 1)[None]
        return x + modules[stage][i](window).view(x.shape)

    theirs = {key: torch.tensor(array, requires_grad=True) for key, array in arrays.items()}
    (expected(theirs, frames, 2, after=after) * torch.tensor(cotangent)).sum().backward()
    # A layout counts scales from one: a gradient does not.
    wanted = placed(
        {
            key: tensor.grad.numpy() - np.float32(key.endswith("scale"))
            for key, tensor in theirs.items()
        }
    )
    wanted["params"]["adapters"] = {
        stage: torch_adapters.gradients(several) for stage, several in modules.items()
    }
    found, wanted = (flatten_dict(tree, sep=".") for tree in (gradient(ours), wanted))
    assert found.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_allclose(found[path], array, atol=1e-4 * max(np.abs(array).max(), 1))


def test_adapters_beside_it_leave_the_backbone_without_a_gradient(arrays, variables):
    frames = images(2, 12, 18)
    encoder = VideoPrism(**SIZES, clip=2, adapter="side")
    ours = {"params": {**variables["params"], "adapters": adapted(encoder)}}

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def gradient(variables):
        features = encoder.apply(variables, frames, chunk=1)
        return (features**3).sum(), features

    modules = [
        torch_adapters.made(layer(ours["params"]["adapters"]["temporal"], i)) for i in range(2)
    ]
    total = 0

    def after(stage, i, x):
        nonlocal total
        if stage == "temporal":
            total = total + modules[i](x.flatten(0, 1)[None]).view(x.shape)
        return x + total if (stage, i) == ("temporal", 1) else x

    (_, features), found = gradient(ours)
    wanted = expected(tensors(arrays), frames, 2, after=after).detach()
    np.testing.assert_allclose(features, wanted, atol=2e-5)
    found = flatten_dict(found["params"], sep=".")
    moved = {path for path, array in found.items() if np.abs(array).max() > 0}
    assert moved - {"temporal_norm.scale", "temporal_norm.bias"} == {
        path for path in found if path.startswith("adapters.")
    }


def test_a_public_file_becomes_these_variables(arrays, variables, tmp_path, monkeypatch):
    sizes = functools.partial(VideoPrism, **SIZES, clip=CLIP)
    monkeypatch.setitem(ENCODERS, "videoprism_base", sizes)
    np.savez(tmp_path / "public.npz", **arrays)
    said = convert.encoder(tmp_path / "public.npz", "videoprism_base", tmp_path / "out")
    numbers = sum(array.size for array in arrays.values())
    assert said.splitlines()[0] == f"{tmp_path}/public.npz: VideoPrism's, for videoprism_base"
    assert f"used: 40 arrays of {numbers:,} numbers (params/" in said and "missing: none" in said
    loaded = load_encoder(tmp_path / "out")
    assert loaded["batch_stats"] == {}
    jax.tree.map(np.testing.assert_array_equal, loaded["params"], variables["params"])

    encode = lofi_jax.load_encoder(tmp_path / "out", encoder="videoprism", clip=CLIP, **SIZES)
    frames = images(CLIP, 18, 18, clips=1)
    np.testing.assert_allclose(encode(frames), expected(tensors(arrays), frames, CLIP), atol=2e-5)
    with pytest.raises(UserError, match="6 pixels do not divide a width of 16: 12 or 18"):
        encode(frames[:, :, :, :16])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"width": 16}, "patch_projection/linear/kernel 108 x 12 instead of 108 x 16"),
        ({"patch": 3}, "patch_projection/linear/kernel 108 x 12 instead of 27 x 12"),
        ({"depths": (4, 2)}, "x_layers/layer_norm/scale 3 x 12 instead of 4 x 12"),
        ({"positions": (5, 3, 3)}, "temporal_pos_emb/emb_var 4 x 12 instead of 5 x 12"),
    ],
)
def test_weights_of_other_sizes_are_refused(change, problem, arrays, tmp_path, monkeypatch):
    other = functools.partial(VideoPrism, **{**SIZES, **change}, clip=CLIP)
    monkeypatch.setitem(ENCODERS, "videoprism_base", other)
    monkeypatch.setattr(convert, "ENCODER_NAMES", ("videoprism_base",))
    # The order in which arrays are named.
    named = problem.split(" ")[0]
    first = {key: array for key, array in arrays.items() if key.endswith(named)}
    np.savez(tmp_path / "public.npz", **(first | arrays))
    with pytest.raises(UserError) as error:
        # A short name, for a message ends after 300 characters.
        monkeypatch.chdir(tmp_path)
        convert.encoder(pathlib.Path("public.npz"), "videoprism_base", tmp_path / "out")
    said = str(error.value)
    assert "holds no videoprism_base as VideoPrism's; unfit: " in said and problem in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "millions"), [("videoprism_base", 114), ("videoprism_large", 354)]
)
def test_the_public_networks_have_their_parameters(name, millions):
    encoder = ENCODERS[name]()
    frames = jax.ShapeDtypeStruct((1, encoder.clip, 288, 288, 3), np.uint8)
    features, made = jax.eval_shape(encoder.init_with_output, jax.random.key(0), frames)
    width = {"videoprism_base": 768, "videoprism_large": 1024}[name]
    assert features.shape == (1, encoder.clip, width)
    assert round(sum(x.size for x in jax.tree.leaves(made)) / 1e6) == millions


@pytest.mark.parametrize(
    ("adapter", "number", "stages"),
    [
        ("tia", 0, {"spatial": 3, "temporal": 2}),
        ("tia", 1, {"temporal": 1}),
        ("tia", 3, {"spatial": 1, "temporal": 2}),
        ("side", 0, {"temporal": 2}),
        ("side", 1, {"temporal": 1}),
    ],
)
def test_the_last_blocks_have_the_adapters_and_nothing_changes_at_first(
    variables, adapter, number, stages
):
    frames = images(2, 12, 18)
    encoder = VideoPrism(**SIZES, clip=2, adapter=adapter, adapted=number)
    fresh = jax.jit(encoder.init)(jax.random.key(0), frames)["params"]["adapters"]
    assert {stage: len(trees["scale"]) for stage, trees in fresh.items()} == stages
    with_adapters = {"params": {**variables["params"], "adapters": fresh}}
    found = jax.jit(encoder.apply)(with_adapters, frames)
    wanted = jax.jit(VideoPrism(**SIZES, clip=2).apply)(variables, frames)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
