"""TriDet against literal PyTorch on the same weights, which it reads in the public layout."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from heads import FAST
from public_heads import DIM, arrays_of, converted, features_of

from lofi_jax.errors import UserError
from lofi_jax.models.heads.point_head import assigned, pyramid_points
from lofi_jax.models.heads.tridet import TriDet
from lofi_jax.training.checkpoints import load_state
from lofi_jax.weights import convert, tridet_layout

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torch_tridet")

CHANNELS, CLASSES, WINDOWS = 16, 3, (1, 3, 1)
OPTIONS = {
    "channels": CHANNELS,
    "stem": 1,
    "levels": 3,
    "window": WINDOWS,
    "factor": 1.5,
    "hidden": 8,
    "bins": 3,
    "tower_channels": 8,
    "kernel": 3,
    "boundary_kernel": 1,
    "iou_power": 0.2,
    "label_smoothing": 0.1,
    "regression_range": 2.0,
}
CASES = {
    "as long as it is": (0, 0, [8]),
    "padded": (16, 0, [3, 16]),
    "longer than in training": (8, 8, [11]),
}


def both(padded, positions):
    """Our head with its parameters, and PyTorch's."""
    head = TriDet(CLASSES, **OPTIONS, positions=positions, padded=padded)
    torch.manual_seed(0)
    reference = theirs.TriDet(DIM, CHANNELS, 1, WINDOWS, CLASSES, positions, 1.5, 8, 3, 8, (3, 1))
    arrays = arrays_of(reference.named_parameters())
    return head, converted(arrays, head, tridet_layout.layout), reference


@pytest.mark.parametrize("case", CASES)
def test_outputs_equal_pytorch(case):
    padded, positions, lengths = CASES[case]
    head, params, reference = both(padded, positions)
    for snippets in lengths:
        features = features_of(snippets)
        outputs = jax.jit(head.apply, compiler_options=FAST)(params, features)
        _, length = head.padded_lengths(snippets)
        with torch.no_grad():
            logits, distances = reference(torch.from_numpy(features).transpose(1, 2), length)
        for level in range(3):
            for name, values in (("classification", logits), ("distances", distances)):
                np.testing.assert_allclose(
                    outputs[name][level], values[level], rtol=1e-4, atol=5e-5, err_msg=name
                )


@pytest.mark.slow
def test_loss_and_gradients_equal_pytorch():
    snippets, padded = 11, 12
    head, params, reference = both(padded, padded)
    features = features_of(snippets)
    segments = np.array([[[0.1, 0.55], [0.6, 0.97]], [[0.3, 0.9], [0.3, 0.9]]], np.float32)
    batch = {
        "segments": segments,
        "labels": np.array([[0, 2], [1, 0]]),  # two classes at once in the second video
        "valid": np.ones((2, 2), bool),
    }

    def loss(params):
        return head.loss(head.apply(params, features), batch)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=FAST)
    (_, terms), gradients = step(params)

    logits, distances = reference(torch.from_numpy(features).transpose(1, 2), padded)
    points = pyramid_points(snippets, 3, 2.0)
    targets = [
        assigned(points, s * snippets - 0.5, c, v, CLASSES, 1.5)
        for s, c, v in zip(*batch.values(), strict=True)
    ]
    classes, wanted = (torch.from_numpy(np.stack(x).copy()) for x in zip(*targets, strict=True))
    assert classes.sum(dim=-1).max() == 2
    expected = theirs.loss(torch.cat(logits, 1), torch.cat(distances, 1), classes, wanted, 0.1, 0.2)
    sum(expected.values()).backward()
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value.detach(), rtol=1e-4, err_msg=name)
    grads = arrays_of((key, p.grad) for key, p in reference.named_parameters())
    wanted = flatten_dict(converted(grads, head, tridet_layout.layout), sep=".")
    for name, value in flatten_dict(gradients, sep=".").items():
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(
            value, wanted[name], rtol=2e-3, atol=2e-3 * scale + 1e-6, err_msg=name
        )


def test_padding_is_the_public_networks():
    head = TriDet(classes=2, padded=2304)
    assert head.padded_lengths(100) == (2304, 2304)
    assert head.padded_lengths(2305) == (2336, 2336)  # a multiple of the coarsest stride, 32
    assert TriDet(classes=2, padded=768, window=15).padded_lengths(769) == (960, 960)
    assert TriDet(classes=2).padded_lengths(7) == (7, 7)


def public_checkpoint(classes, features, window, factor, towers=16, kernels=(3, 3)):
    torch.manual_seed(1)
    network = theirs.TriDet(
        features, 16, 2, (window,) * 6, classes, 0, factor, 24, 4, towers, kernels
    )
    named = {f"module.{key}": value for key, value in network.state_dict().items()}
    worse = {key: torch.zeros_like(value) for key, value in named.items()}
    return {"epoch": 9, "state_dict": worse, "state_dict_ema": named}


@pytest.mark.parametrize(
    ("head", "made", "told"),
    [
        (
            "tridet",
            (20, 2048, 1, 5),
            "window=1, hidden=24, bins=4, tower_channels=16, kernel=3, boundary_kernel=3,"
            " padded=2304, iou_power=0.2, factor=5.0",
        ),
        (
            "tridet",
            (200, 2304, 3, 1.2, 16, (5, 1)),
            "window=3, hidden=24, bins=4, tower_channels=16, kernel=5, boundary_kernel=1,"
            " positions=960, padded=960, label_smoothing=0.1, iou_power=1.0, deviation=0.1,"
            " factor=1.2",
        ),
        (
            "tridet_agnostic",
            (1, 512, 15, 1.3, 32),
            "window=15, hidden=24, bins=4, tower_channels=32, kernel=3, boundary_kernel=3,"
            " positions=768, padded=768, label_smoothing=0.1, iou_power=1.0, deviation=0.2,"
            " factor=1.3, shortest=0.1",
        ),
    ],
)
def test_a_public_checkpoint_becomes_ours_from_its_running_mean(head, made, told, tmp_path):
    content = public_checkpoint(*made)
    torch.save(content, tmp_path / "x.pth.tar")
    said = convert.head(tmp_path / "x.pth.tar", head, tmp_path / "out").splitlines()
    assert f"for features of {made[1]} channels" in said[0]
    assert said[1] == f"config.head: channels=16, stem=2, levels=6, {told}"
    assert said[-2] == "missing: none" and not any("ignored" in line for line in said)
    params = load_state(tmp_path / "out")["params"]["head"]
    public = content["state_dict_ema"]
    kernel = public["module.backbone.branch.4.convkw.weight"].numpy()
    np.testing.assert_array_equal(
        params["level5"]["wide_window"]["kernel"], np.moveaxis(kernel, (1, 0), (-2, -1))
    )
    bias = public["module.end_head.cls_head.conv.bias"].numpy()
    np.testing.assert_array_equal(params["end"]["out"]["bias"], bias)


def test_what_it_is_not_is_refused(tmp_path):
    torch.save(public_checkpoint(20, 2048, 1, 5), tmp_path / "thumos.pth")
    with pytest.raises(UserError, match="its classes are 20: use --head=tridet"):
        convert.head(tmp_path / "thumos.pth", "tridet_agnostic", tmp_path / "out")
    with pytest.raises(UserError, match="holds no actionformer as"):
        convert.head(tmp_path / "thumos.pth", "actionformer", tmp_path / "out")
    torch.save(public_checkpoint(7, 24, 1, 5), tmp_path / "own.pth")
    with pytest.raises(UserError, match="7 classes on features of 24 channels are none that"):
        convert.head(tmp_path / "own.pth", "tridet", tmp_path / "out")
