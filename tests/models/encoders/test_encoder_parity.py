"""The encoders against the same networks in plain PyTorch: features through every public layout,
and gradients.
"""

import argparse
import functools
import pathlib
import tempfile

import jax
import numpy as np
import pytest
from flax import traverse_util

from lofi_jax.models import ENCODERS
from lofi_jax.models.encoders import tsm
from lofi_jax.run.checkpoints import load_encoder
from lofi_jax.weights import assign, convert, encoder_layouts

torch = pytest.importorskip("torch", reason="the reference networks need the extra [torch]")
import torch_encoders as reference  # noqa: E402

FRAMES = 6
DEPTHS = {"18": (2, 2, 2, 2), "34": (3, 4, 6, 3), "50": (3, 4, 6, 3)}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KINETICS = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


def prefixed(prefix, arrays):
    return {prefix + key: value for key, value in arrays.items() if not key.startswith("fc.")}


def layer(name, classes=10):
    return {f"{name}.weight": torch.zeros(classes, 7), f"{name}.bias": torch.zeros(classes)}


def torchvision_resnet(depth):
    """A torchvision image classifier and the TSM made of it."""
    block = reference.Bottleneck if depth == "50" else reference.Basic
    network = reference.randomise(reference.ResNet(DEPTHS[depth], block), seed=1)
    content = dict(network.state_dict())
    return network.shifted(FRAMES), content


def authors_tsm(depth):
    network, _ = torchvision_resnet(depth)
    arrays = prefixed("module.base_model.", network.state_dict()) | layer("module.new_fc")
    return network, {"epoch": 50, "arch": "resnet", "state_dict": arrays, "best_prec1": 70.0}


def mmaction2_tsm(depth):
    block = reference.MMBottleneck if depth == "50" else reference.MMBasic
    network = reference.randomise(reference.MMResNet(DEPTHS[depth], block), seed=2).shifted(FRAMES)
    arrays = prefixed("backbone.", network.state_dict()) | layer("cls_head.fc_cls")
    return network, {"meta": {"epoch": 50}, "state_dict": arrays}


def torchvision_r2plus1d(depth):
    network = reference.randomise(reference.R2Plus1D(DEPTHS[depth]), seed=3)
    return network, dict(network.state_dict())


def tsp(depth):
    mine = {"own_middle": True, "epsilon": 1e-3} if depth == "34" else {}
    network = reference.randomise(reference.R2Plus1D(DEPTHS[depth], **mine), seed=4)
    arrays = prefixed("features.", network.state_dict()) | layer("fc1") | layer("fc2", 2)
    options = argparse.Namespace(backbone="r2plus1d", epochs=8)
    return network, {"model": arrays, "optimizer": {"state": {}}, "epoch": 5, "args": options}


def mmaction2_r2plus1d(depth):
    network = reference.randomise(reference.MMR2Plus1D(DEPTHS[depth]), seed=5)
    arrays = prefixed("backbone.", network.state_dict()) | layer("cls_head.fc_cls")
    return network, {"meta": {}, "state_dict": arrays}


def images():
    """Two snippets, of a size that every strided layer halves to an odd one somewhere."""
    return np.random.default_rng(0).integers(0, 256, (2, FRAMES, 46, 38, 3), np.uint8)


def reference_features(network, frames, mean, std):
    """The reference's features (2, C) of uint8 snippets, as a tensor."""
    x = (torch.tensor(frames) / 255 - torch.tensor(mean)) / torch.tensor(std)
    if isinstance(network, reference.R2Plus1D | reference.MMR2Plus1D):
        return network(x.permute(0, 4, 1, 2, 3))
    features = network(x.flatten(0, 1).permute(0, 3, 1, 2))
    return features.unflatten(0, (len(frames), FRAMES)).mean(1)


def expected(network, frames, mean, std):
    with torch.no_grad():
        return reference_features(network, frames, mean, std).numpy()


@functools.cache
def encode(name):
    return jax.jit(ENCODERS[name]().apply)


def difference(a, b):
    """The largest, relative to the largest value."""
    return np.abs(a - b).max() / np.abs(b).max()


CASES = [
    *(
        (f"tsm_resnet{depth}", make, depth, layout, IMAGENET)
        for depth in DEPTHS
        for make, layout in (
            (torchvision_resnet, "torchvision's ResNet"),
            (authors_tsm, "the TSM authors'"),
            (mmaction2_tsm, "mmaction2's ResNet"),
        )
    ),
    ("r2plus1d_18", torchvision_r2plus1d, "18", "torchvision's R(2+1)D", KINETICS),
    ("r2plus1d_18", tsp, "18", "TSP's R(2+1)D", KINETICS),
    ("r2plus1d_34", tsp, "34", "TSP's R(2+1)D", KINETICS),
    ("r2plus1d_34_mmaction2", mmaction2_r2plus1d, "34", "mmaction2's R(2+1)D", IMAGENET),
]


@pytest.fixture
def folder():
    """Removed at once: a checkpoint has up to 250 MB."""
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)


@pytest.mark.parametrize(
    ("name", "make", "depth", "layout", "statistics"),
    [case if case[2] == "18" else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
    ids=[f"{name}-{make.__name__}" for name, make, *_ in CASES],
)
def test_features_are_those_of_the_public_network(name, make, depth, layout, statistics, folder):
    network, content = make(depth)
    torch.save(content, folder / "public.pth")
    said = convert.encoder(folder / "public.pth", name, folder / "ours")
    assert f"{layout}, for {name}" in said
    frames = images()
    ours = encode(name)(load_encoder(folder / "ours"), frames)
    theirs = expected(network, frames, *statistics)
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    assert difference(ours, theirs) < 1e-4


def test_the_two_directions_of_the_shift_are_not_swapped(folder):
    network, content = authors_tsm("18")
    torch.save(content, folder / "public.pth")
    convert.encoder(folder / "public.pth", "tsm_resnet18", folder / "ours")
    frames = images()
    features = encode("tsm_resnet18")(load_encoder(folder / "ours"), frames)
    assert difference(features, expected(network, frames, *IMAGENET)) < 1e-4
    network.shifted(FRAMES, swapped=True)
    assert difference(features, expected(network, frames, *IMAGENET)) > 1e-2
    # And back in time the other directions are the right ones.
    assert difference(features, expected(network, frames[:, ::-1].copy(), *IMAGENET)) < 1e-4


@pytest.mark.parametrize(
    ("sizes", "widths", "train"),
    [((2, 2, 2, 2), (8, 16, 16, 32), False), ((1, 1), (8, 16), True)],
    ids=["frozen", "batch_statistics"],
)
def test_gradients_are_those_of_the_reference(sizes, widths, train):
    """Of a thin TSM-ResNet-18, and of a thinner one in training."""
    torch.manual_seed(0)
    network = reference.randomise(reference.ResNet(sizes, widths=widths), seed=6).shifted(FRAMES)
    network.train(train)
    encoder = tsm.TSM(sizes, widths)
    frames = images()
    direction = np.random.default_rng(1).standard_normal((2, widths[-1])).astype(np.float32)
    arrays = {f"base_model.{key}": value.numpy() for key, value in network.state_dict().items()}
    variables = placed(arrays, encoder)

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        features = encoder.apply(variables | {"params": params}, frames, train, mutable=True)[0]
        return (features * direction).sum()

    value, gradient = loss(variables["params"])
    total = (reference_features(network, frames, *IMAGENET) * torch.tensor(direction)).sum()
    total.backward()
    gradients = {
        f"base_model.{key}": parameter.grad.numpy()
        for key, parameter in network.named_parameters()
        if not key.startswith("fc.")
    }
    differences = jax.tree.map(difference, gradient, placed(gradients, encoder)["params"])
    assert float(value) == pytest.approx(total.item(), rel=1e-4)
    assert max(jax.tree.leaves(differences)) < 1e-4, differences


def placed(arrays, encoder):
    """The TSM authors' arrays at their places among our variables."""
    variables = jax.eval_shape(encoder.init, jax.random.key(0), images())
    shapes = {k: v.shape for k, v in traverse_util.flatten_dict(variables, sep=".").items()}
    fit = assign.fit(arrays, shapes, encoder_layouts.ENCODER_LAYOUTS)
    return traverse_util.unflatten_dict(fit.variables, sep=".")
