"""ActionFormer against literal PyTorch on the same weights, which it reads in the public layout."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from heads import FAST
from public_heads import DIM, arrays_of, converted, features_of

from lofi_jax.errors import UserError
from lofi_jax.models.heads.actionformer import ActionFormer, padded_length
from lofi_jax.models.heads.point_head import assigned, pyramid_points
from lofi_jax.training.checkpoints import load_state
from lofi_jax.weights import actionformer_layout, convert

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torch_actionformer")

CHANNELS, CLASSES, WINDOWS = 8, 3, (5, 3, 0)
OPTIONS = {"channels": CHANNELS, "heads": 2, "stem": 1, "levels": 3, "window": WINDOWS}

# The longest video in training, the length that positions are made for, and some numbers of
# snippets.
CASES = {
    "as long as it is": (0, 0, [8]),
    "padded": (16, 0, [3, 16]),
    "longer than in training": (8, 0, [12]),
    "with positions": (16, 16, [9]),
    "with positions stretched": (8, 8, [11]),
}


def both(padded, positions):
    """Our head with its parameters, and PyTorch's."""
    head = ActionFormer(
        CLASSES,
        **OPTIONS,
        positions=positions,
        padded=padded,
        label_smoothing=0.1,
        regression_weight=2.0,
        regression_range=2.0,
    )
    torch.manual_seed(0)
    reference = theirs.ActionFormer(DIM, CHANNELS, 2, 1, WINDOWS, CLASSES, positions)
    arrays = arrays_of(reference.named_parameters())
    return head, converted(arrays, head, actionformer_layout.layout), reference


@pytest.mark.parametrize("case", CASES)
def test_outputs_equal_pytorch(case):
    padded, positions, lengths = CASES[case]
    head, params, reference = both(padded, positions)
    for snippets in lengths:
        features = features_of(snippets)
        outputs = jax.jit(head.apply, compiler_options=FAST)(params, features)
        _, length = padded_length(snippets, padded, WINDOWS)
        with torch.no_grad():
            logits, distances = reference(torch.from_numpy(features).transpose(1, 2), length)
        for level in range(3):
            for name, values in (("classification", logits), ("distances", distances)):
                np.testing.assert_allclose(
                    outputs[name][level], values[level], rtol=1e-4, atol=2e-5, err_msg=name
                )


@pytest.mark.slow
def test_loss_and_gradients_equal_pytorch():
    snippets, padded = 11, 12
    head, params, reference = both(padded, padded)
    features = features_of(snippets)
    segments = np.array([[[0.1, 0.55], [0.6, 0.97]], [[0.3, 0.9], [0.0, 0.0]]], np.float32)
    batch = {
        "segments": segments,
        "labels": np.array([[0, 2], [1, 0]]),
        "valid": segments[..., 1] > 0,
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
    expected = theirs.loss(torch.cat(logits, 1), torch.cat(distances, 1), classes, wanted, 0.1, 2.0)
    sum(expected.values()).backward()
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value.detach(), rtol=1e-4, err_msg=name)
    grads = arrays_of((key, p.grad) for key, p in reference.named_parameters())
    wanted = flatten_dict(converted(grads, head, actionformer_layout.layout), sep=".")
    for name, value in flatten_dict(gradients, sep=".").items():
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(
            value, wanted[name], rtol=1e-3, atol=1e-3 * scale + 1e-6, err_msg=name
        )


@pytest.mark.parametrize(
    ("snippets", "padded", "windows", "expected"),
    [
        (7, 0, (5, 5), (7, 7)),
        (7, 64, (5, 5), (10, 64)),  # four points of the second level and one beyond
        (63, 64, (5, 5), (64, 64)),
        (65, 64, (5, 5), (68, 72)),  # windows of 4 at a stride of 2 need a multiple of 8
        (2305, 2304, (19,) * 6, (2368, 2880)),
    ],
)
def test_no_more_is_padded_than_shows(snippets, padded, windows, expected):
    assert padded_length(snippets, padded, windows) == expected


def public_checkpoint(classes, features, window, channels=16):
    torch.manual_seed(1)
    network = theirs.ActionFormer(features, channels, 4, 2, (window,) * 6, classes, 0)
    named = {f"module.{key}": value for key, value in network.state_dict().items()}
    worse = {key: torch.zeros_like(value) for key, value in named.items()}
    return {"epoch": 9, "state_dict": worse, "state_dict_ema": named}


@pytest.mark.parametrize(
    ("head", "classes", "features", "told"),
    [
        ("actionformer", 20, 2048, "window=19, padded=2304"),
        ("actionformer", 97, 2304, "window=9, padded=2304, candidates=5000"),
        (
            "actionformer_agnostic",
            1,
            512,
            "window=(7, 7, 7, 7, 7, 0), positions=192, padded=192, label_smoothing=0.1,"
            " regression_weight=2.0, shortest=0.001",
        ),
    ],
)
def test_a_public_checkpoint_becomes_ours_from_its_running_mean(
    head, classes, features, told, tmp_path
):
    content = public_checkpoint(classes, features, 3)
    torch.save(content, tmp_path / "x.pth.tar")
    said = convert.head(tmp_path / "x.pth.tar", head, tmp_path / "out").splitlines()
    assert f"for features of {features} channels" in said[0]
    assert said[1] == f"config.head: channels=16, stem=2, levels=6, {told}"
    assert said[-2] == "missing: none" and not any("ignored" in line for line in said)
    params = load_state(tmp_path / "out")["params"]["head"]
    public = content["state_dict_ema"]
    kernel = public["module.backbone.branch.4.attn.proj.weight"].numpy()
    np.testing.assert_array_equal(params["level5"]["attention"]["out"]["kernel"], kernel[..., 0].T)
    scale = public["module.reg_head.scale.3.scale"].numpy()
    np.testing.assert_array_equal(params["distance_scale3"], scale)


def test_what_it_is_not_is_refused(tmp_path):
    torch.save(public_checkpoint(20, 2048, 3), tmp_path / "thumos.pth")
    with pytest.raises(UserError, match="its classes are 20: use --head=actionformer"):
        convert.head(tmp_path / "thumos.pth", "actionformer_agnostic", tmp_path / "out")
    torch.save(public_checkpoint(7, 24, 3), tmp_path / "own.pth")
    with pytest.raises(UserError, match="7 classes on features of 24 channels are none that"):
        convert.head(tmp_path / "own.pth", "actionformer", tmp_path / "out")
    content = public_checkpoint(20, 2048, 3)
    del content["state_dict_ema"]["module.backbone.branch.1.drop_path_mlp.scale"]
    torch.save(content, tmp_path / "less.pth")
    with pytest.raises(UserError) as error:
        convert.head(tmp_path / "less.pth", "actionformer", tmp_path / "out")
    assert "missing: 1 (module.backbone.branch.1.drop_path_mlp.scale)" in str(error.value)
