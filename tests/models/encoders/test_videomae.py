"""VideoMAE with adapters against the same network in plain PyTorch, block by block; exact gradients
in chunks.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, windows
from lofi_jax.models.encoders.videomae import VideoMAE
from lofi_jax.models.layers import blocks, transformer
from lofi_jax.models.layers.positions import resized, sinusoids
from lofi_jax.training.networks import sample_keys
from lofi_jax.weights import assign, encoder_layouts, stacked

SIZES = dict(width=24, depth=4, heads=3, hidden=56, patch=8, clip=4, image=24)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def frames(seed=0, videos=2, length=12, height=16, width=24):
    shape = (videos, length, height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@functools.cache
def variables(adapter):
    """Numbers in all parameters, none of them special."""
    made = jax.eval_shape(VideoMAE(**SIZES, adapter=adapter).init, jax.random.key(0), frames())
    rng = np.random.default_rng(1)
    leaves, tree = jax.tree.flatten(made)
    rest = [0.3 * rng.standard_normal(x.shape).astype(np.float32) for x in leaves]
    return jax.tree.unflatten(tree, rest)


def loss(encoder, given, videos, chunk):
    """Of features of snippets of two frames; with keys, if the encoder leaves branches out."""
    snippets = videos.reshape(len(videos), -1, 2, *videos.shape[2:])
    keys = sample_keys(encoder, jax.random.key(7), len(videos))
    features = windows.encode(encoder, given, snippets, chunk, keys=keys)
    return jnp.sum(jnp.sin(features) * jnp.arange(features.size).reshape(features.shape))


@pytest.mark.parametrize(
    ("adapter", "backbone", "chunk", "remat", "drop_path"),
    [
        ("none", "trained", 3, False, 0.0),
        ("tia", "trained", 1, True, 0.5),
        ("tia", "frozen", 3, False, 0.0),
        ("side", "frozen", 1, False, 0.5),
    ],
)
def test_gradients_are_exact_in_chunks_of_clips(adapter, backbone, chunk, remat, drop_path):
    settings = {"adapter": adapter, "backbone": backbone, "drop_path": drop_path}

    def gradient(chunk, remat):
        encoder = VideoMAE(**SIZES, **settings, remat=remat)
        of = jax.jit(jax.value_and_grad(functools.partial(loss, encoder)), static_argnums=2)
        return of(variables(adapter), frames(), chunk)

    (expected, wanted), (value, found) = gradient(0, False), gradient(chunk, remat)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    largest = max(np.abs(x).max() for x in jax.tree.leaves(wanted))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * largest)
    moving = [part for part in ("patch_embed", "blocks") if np.any(_flat(wanted["params"][part]))]
    assert moving == ([] if backbone == "frozen" else ["patch_embed", "blocks"])


def _flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def test_memory_is_that_of_one_chunk():
    encoder = VideoMAE(**SIZES, adapter="tia", backbone="frozen")

    def temporaries(chunk):
        shape = jax.ShapeDtypeStruct((1, 64, 48, 48, 3), jnp.uint8)
        step = jax.jit(jax.grad(functools.partial(loss, encoder)), static_argnums=2)
        compiled = step.lower(variables("tia"), shape, chunk).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(0) > 4 * temporaries(1)


def test_a_fresh_adapter_changes_nothing_and_a_trained_one_mixes_time_across_clips():
    plain, adapted = (VideoMAE(**SIZES, adapter=kind) for kind in ("none", "tia"))
    fresh = jax.jit(adapted.init)(jax.random.key(0), frames())
    alone = {"params": {k: v for k, v in fresh["params"].items() if k != "adapters"}}
    apply = jax.jit(adapted.apply)
    np.testing.assert_array_equal(apply(fresh, frames()), jax.jit(plain.apply)(alone, frames()))
    changed = frames()
    changed[:, 4:8] = 0
    for given, apart in ((fresh, True), (variables("tia"), False)):
        difference = np.abs(apply(given, changed) - apply(given, frames())).max(axis=(0, 2))
        assert difference[2:4].min() > 0
        assert (difference[[0, 1, 4, 5]].max() == 0) == apart


@pytest.mark.parametrize(
    ("name", "millions"),
    [("small", 22), ("base", 86), ("large", 304), ("huge", 632), ("giant", 1012)],
)
def test_the_sizes_are_the_published_ones(name, millions):
    encoder = ENCODERS[f"videomae_{name}"]()
    shape = jax.ShapeDtypeStruct((1, 16, encoder.patch, encoder.patch, 3), jnp.uint8)
    made = jax.eval_shape(encoder.init, jax.random.key(0), shape)["params"]
    count = sum(x.size for x in jax.tree.leaves(made))
    assert round(count / 1e6) == millions and encoder.width % encoder.heads == 0


def test_half_precision_is_close_and_its_features_are_float32():
    exact, half = (VideoMAE(**SIZES, dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16))
    given = jax.jit(exact.init)(jax.random.key(3), frames())
    a, b = (jax.jit(encoder.apply)(given, frames()) for encoder in (exact, half))
    assert a.dtype == b.dtype == jnp.float32
    np.testing.assert_allclose(a, b, atol=0.03 * np.abs(a).max())


def test_a_chunk_that_does_not_divide_the_clips_is_refused():
    with pytest.raises(UserError, match="chunk of 4 clips does not divide the 6"):
        blocks.over_clips(lambda x: x, jnp.zeros((6, 2, 3)), 4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"adapted": 5}, r"adapted is 5: it must be in \[0, 4\]"),
        ({"adapted": -1}, r"adapted is -1: it must be in \[0, 4\]"),
        ({"adapter_ratio": 0}, r"adapter_ratio is 0: it must be in \[1, 24\]"),
    ],
)
def test_adapters_that_cannot_be_are_refused(options, says):
    with pytest.raises(TypeError, match=says):
        VideoMAE(**SIZES, adapter="tia", **options)


# The reference in PyTorch.

torch = pytest.importorskip("torch", reason="the reference network needs the extra [torch]")
import torch_videomae as reference  # noqa: E402


@functools.cache
def public(adapter, **options):
    return reference.randomised(reference.VideoMAE(**SIZES, adapter=adapter, **options), seed=5)


def ours(network, adapter):
    """Our variables of a network of PyTorch's."""
    arrays = {key: value.detach().numpy() for key, value in network.state_dict().items()}
    made = jax.eval_shape(VideoMAE(**SIZES).init, jax.random.key(0), frames())
    shapes = {path: x.shape for path, x in flatten_dict(made, sep=".").items()}
    own = {k: v for k, v in arrays.items() if not k.startswith("adapters.")}
    fit = assign.fit(own, stacked.apart(shapes), encoder_layouts.ENCODER_LAYOUTS)
    assert not fit.problems
    given = unflatten_dict(stacked.together(fit.variables), sep=".")
    if adapter != "none":
        given["params"]["adapters"] = adapters_of(arrays)
    return given


def adapters_of(arrays):
    """The stacked parameters of adapters by PyTorch's names, or their gradients."""
    found = {}
    for key, array in arrays.items():
        if key.startswith("adapters."):
            name = key.split(".", 2)[2]
            if name.startswith(("down", "up")) and array.ndim == 2:
                array = array.T
            elif array.ndim == 3:  # (out, in / groups, taps)
                array = array[:, 0].T if name.startswith("depthwise") else array[:, :, 0].T
            path = name.replace("weight", "kernel")
            found.setdefault(path, []).append(array)
    return unflatten_dict({path: np.stack(all_) for path, all_ in found.items()}, sep=".")


def normalised(videos):
    mean, std = (np.array(numbers, np.float32) for numbers in IMAGENET)
    x = (videos / np.float32(255) - mean) / std
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)).astype(np.float32))


@pytest.mark.parametrize("adapter", ["none", "tia"])
def test_every_block_gives_the_references_tokens(adapter):
    network, videos = public(adapter), frames()
    with torch.no_grad():
        outputs = network(normalised(videos))
    params = ours(network, adapter)["params"]
    for depth, expected in enumerate(outputs, 1):
        cut = jax.tree.map(lambda p, depth=depth: p[:depth], params)
        cut["patch_embed"] = params["patch_embed"]
        encoder = VideoMAE(**(SIZES | {"depth": depth}), adapter=adapter)
        found = jax.jit(encoder.apply)({"params": cut}, videos)
        wanted = expected.flatten(2, 3).mean(2).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("adapter", "options"),
    [
        ("tia", {}),
        ("side", {}),
        ("tia", {"adapted": 1, "adapter_ratio": 8}),
        ("side", {"adapted": 4, "adapter_ratio": 2}),
    ],
)
def test_features_and_adapters_gradients_are_the_references(adapter, options):
    network, videos = public(adapter, **options), frames()
    given = ours(network, adapter)
    encoder = VideoMAE(**SIZES, adapter=adapter, backbone="frozen", **options)
    weights = np.random.default_rng(2).standard_normal((2, 6, SIZES["width"])).astype(np.float32)

    def scalar(given):
        features = encoder.apply(given, videos, chunk=2)
        return jnp.sum(features * weights), features

    found, features = jax.jit(jax.grad(scalar, has_aux=True))(given)
    network.zero_grad()
    wanted = network(normalised(videos))[-1].flatten(2, 3).mean(2)
    (wanted * torch.from_numpy(weights)).sum().backward()
    gradients = adapters_of(
        {k: p.grad.numpy() for k, p in network.named_parameters() if k.startswith("adapters.")}
    )
    wanted = wanted.detach().numpy()
    np.testing.assert_allclose(features, wanted, atol=1e-4 * np.abs(wanted).max())
    for path, gradient in flatten_dict(gradients, sep=".").items():
        mine = flatten_dict(found["params"]["adapters"], sep=".")[path]
        np.testing.assert_allclose(mine, gradient, atol=1e-4 * np.abs(gradient).max(), err_msg=path)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (2, 5), (7, 4)])
def test_positions_follow_the_grid_as_pytorch_interpolates(height, width):
    table = sinusoids(2 * 9, 8)
    np.testing.assert_allclose(table, reference.sinusoids(18, 8).numpy(), atol=1e-6)
    grid = torch.from_numpy(table.reshape(2, 3, 3, 8)).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(grid, (height, width), mode="bicubic")
    found = resized(table.reshape(2, 3, 3, 8), height, width)
    np.testing.assert_allclose(found, wanted.permute(0, 2, 3, 1).numpy(), atol=1e-12)


def test_patches_are_cut_in_order():
    given = frames(videos=1, length=4, height=4, width=6)
    found = transformer.patches_of(jnp.asarray(given), (2, 2, 2))
    np.testing.assert_array_equal(found[0, 1, 0, 2].reshape(2, 2, 2, 3), given[0, 2:4, 0:2, 4:6])
