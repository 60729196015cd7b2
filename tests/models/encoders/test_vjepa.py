"""V-JEPA 2 and 2.1 against a reference in plain PyTorch: through their public files, layer by
layer, at every grid, and their gradients.
"""

import functools

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, VJEPA
from lofi_jax.models.encoders import vjepa
from lofi_jax.run.checkpoints import load_encoder, load_encoder_of
from lofi_jax.weights import assign, convert, stacked, vjepa_layout

torch = pytest.importorskip("torch", reason="the reference network needs the extra [torch]")
import torch_adapters  # noqa: E402
import torch_videomae  # noqa: E402
import torch_vjepa as reference  # noqa: E402

SIZES = {"width": 32, "depth": 3, "heads": 2, "patch": 8}
SHAPE = (4, 16, 24, 3)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module", params=["2", "2.1"])
def network(request):
    made = reference.VJEPA(**SIZES, version=request.param)
    return torch_videomae.randomised(made, seed=1)


def named(network):
    """Its arrays as a public file names them."""
    return {f"module.backbone.{key}": value for key, value in network.state_dict().items()}


def placed(arrays, version):
    """Arrays as our variables."""
    arrays = {key: np.asarray(array) for key, array in arrays.items()}
    encoder = VJEPA(**SIZES, version=version, clip=SHAPE[0])
    frames = jax.ShapeDtypeStruct((1, *SHAPE), np.uint8)
    shapes = flatten_dict(jax.eval_shape(encoder.init, jax.random.key(0), frames), sep=".")
    shapes = stacked.apart({path: x.shape for path, x in shapes.items()})
    fit = assign.fit(arrays, shapes, vjepa_layout.VJEPA_LAYOUTS)
    assert fit.problems == []
    return convert.unflatten_dict(stacked.together(fit.variables), sep=".")


def images(times, height, width, clips=2):
    return np.random.default_rng(1).integers(0, 256, (1, clips * times, height, width, 3), np.uint8)


def expected(network, frames, clip, **how):
    """The reference's features (1, F/2, C), as a tensor."""
    x = (torch.tensor(frames) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    clips = x.unflatten(1, (-1, clip))[0].permute(0, 4, 1, 2, 3)
    return network(clips, **how).mean(2).flatten(0, 1)[None]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_each_layer_equals_the_reference(depth, network):
    frames = images(*SHAPE[:3])
    variables = placed(named(network), network.version)
    params = variables["params"]
    blocks = jax.tree.map(lambda x: x[:depth], params["blocks"])
    encoder = VJEPA(**{**SIZES, "depth": depth}, version=network.version, clip=SHAPE[0])
    encode = jax.jit(functools.partial(encoder.apply, chunk=1))
    found = encode({"params": {**params, "blocks": blocks}}, frames)
    with torch.no_grad():
        wanted = expected(network, frames, SHAPE[0], depth=depth)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_positions_follow_the_grid(network):
    frames = images(6, 32, 16, clips=1)
    encoder = VJEPA(**SIZES, version=network.version, clip=6)
    found = jax.jit(encoder.apply)(placed(named(network), network.version), frames)
    with torch.no_grad():
        np.testing.assert_allclose(found, expected(network, frames, 6), atol=2e-5)


def test_gradients_with_adapters_equal_the_reference_in_chunks(network):
    frames = images(4, 16, 16)
    cotangent = np.random.default_rng(2).standard_normal((1, 4, 32), np.float32)
    encoder = VJEPA(**SIZES, version=network.version, clip=4, adapter="tia")
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), frames)["params"]["adapters"]
    rng = np.random.default_rng(3)
    adapters = jax.tree.map(lambda x: rng.standard_normal(x.shape, np.float32) * 0.3, shapes)
    variables = placed(named(network), network.version)
    ours = {"params": {**variables["params"], "adapters": adapters}}

    @jax.jit
    @jax.grad
    def gradient(variables):
        return (encoder.apply(variables, frames, chunk=1) * cotangent).sum()

    modules = [torch_adapters.made(jax.tree.map(lambda x: x[i], adapters)) for i in range(3)]  # noqa: B023

    def after(i, x):
        window = x.unflatten(1, (2, -1)).flatten(0, 1)[None]  # times, then places
        return x + modules[i](window).view(x.shape)

    network.zero_grad()
    (expected(network, frames, 4, after=after) * torch.tensor(cotangent)).sum().backward()
    theirs = {
        f"module.backbone.{name}": np.zeros(p.shape, np.float32) if p.grad is None else p.grad
        for name, p in network.named_parameters()
    }
    wanted = placed(theirs, network.version)
    wanted["params"]["adapters"] = torch_adapters.gradients(modules)
    found, wanted = (flatten_dict(tree, sep=".") for tree in (gradient(ours), wanted))
    assert found.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_allclose(found[path], array, atol=1e-4 * max(np.abs(array).max(), 1))


def test_pairs_of_channels_turn_with_time_row_and_column():
    """By hand: a head of 14 channels, whose thirds have four, and two that never turn."""
    cosines, sines = vjepa.rotations("2", (2, 1, 2), 14, 16)
    token = 3  # the second time, the only row, the second column
    slow = 10000**-0.5
    turns = [1, slow, 1, slow, 0, 0, 0, 0, 1, slow, 1, slow, 0, 0]
    np.testing.assert_allclose(cosines[token], np.cos(turns), atol=1e-6)
    np.testing.assert_allclose(sines[token], np.sin(turns), atol=1e-6)
    # 2.1 repeats each frequency, and stretches two columns over the sixteen it was trained with.
    _, sines = vjepa.rotations("2.1", (2, 1, 2), 14, 16)
    turns = [1, 1, slow, slow, 0, 0, 0, 0, 15, 15, 15 * slow, 15 * slow, 0, 0]
    np.testing.assert_allclose(sines[token], np.sin(turns), atol=1e-6)


@pytest.fixture
def small(monkeypatch):
    sizes = functools.partial(VJEPA, **SIZES, clip=SHAPE[0])
    monkeypatch.setitem(ENCODERS, "vjepa2_large", sizes)
    monkeypatch.setattr(convert, "ENCODER_NAMES", ("vjepa2_large",))


def test_the_evaluated_encoder_of_a_public_file_becomes_ours(network, tmp_path, small):
    version, arrays = network.version, named(network)
    other = {key: torch.zeros_like(value) for key, value in arrays.items()}
    if version == "2":
        arrays["module.backbone.pos_embed"] = torch.zeros(1, 7, 32)
    key = "target_encoder" if version == "2" else "ema_encoder"
    torch.save({"encoder": other, key: arrays, "predictor": other, "epoch": 9}, tmp_path / "x.pt")
    said = convert.encoder(tmp_path / "x.pt", "vjepa2_large", tmp_path / "out").splitlines()
    assert said[0] == f"{tmp_path}/x.pt: V-JEPA {version}'s, for vjepa2_large"
    assert said[1] == f"config.encoder: version={version}"
    assert any(line.startswith("ignored: ") for line in said)
    loaded = load_encoder(tmp_path / "out")
    wanted = placed(named(network), version)
    jax.tree.map(np.testing.assert_array_equal, loaded["params"], wanted["params"])

    swapped = VJEPA(**SIZES, version="2.1" if version == "2" else "2", clip=SHAPE[0])
    with pytest.raises(UserError, match=r"other than it: params\.video_embed is "):
        load_encoder_of(swapped, SHAPE, tmp_path / "out", "it")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"width": 40}, "patch_embed.proj.weight 2 x 8 x 8 x 3 x 32 instead of 2 x 8 x 8 x 3 x 40"),
        ({"patch": 16}, "patch_embed.proj.weight 2 x 8 x 8 x 3 x 32 instead of 2 x 16 x 16 x 3 x"),
        ({"depth": 4}, "missing: 12 (module.backbone.blocks.3."),
        ({"depth": 2}, "without a place: 12 (module.backbone.blocks.2."),
    ],
)
def test_weights_of_other_sizes_are_refused(change, problem, tmp_path, monkeypatch, small):
    sizes = functools.partial(VJEPA, **{**SIZES, **change}, clip=SHAPE[0])
    monkeypatch.setitem(ENCODERS, "vjepa2_large", sizes)
    torch.save({"encoder": named(reference.VJEPA(**SIZES, version="2"))}, tmp_path / "x.pt")
    with pytest.raises(UserError) as error:
        convert.encoder(tmp_path / "x.pt", "vjepa2_large", tmp_path / "out")
    said = str(error.value)
    # Beyond 300 characters a message ends with dots.
    assert "x.pt: holds no vjepa2_large as V-JEPA 2's; " in said and problem[:40] in said
    assert "\n" not in said


def test_another_version_is_refused():
    with pytest.raises(UserError, match=r"one of 2, 2\.1, not '3'"):
        VJEPA(**SIZES, version="3", clip=2).init(jax.random.key(0), np.zeros((1, 2, 8, 8, 3)))


def test_a_clip_of_an_odd_number_of_frames_is_refused():
    with pytest.raises(UserError, match="in pairs, so a clip of 3 is none"):
        VJEPA(**SIZES, clip=3).init(jax.random.key(0), np.zeros((1, 6, 8, 8, 3)))


def test_the_public_network_has_its_parameters():
    encoder = ENCODERS["vjepa2_large"]()
    frames = jax.ShapeDtypeStruct((1, encoder.clip, 256, 256, 3), np.uint8)
    features, made = jax.eval_shape(encoder.init_with_output, jax.random.key(0), frames)
    assert features.shape == (1, encoder.clip // 2, 1024)
    assert round(sum(x.size for x in jax.tree.leaves(made)) / 1e6) == 304
