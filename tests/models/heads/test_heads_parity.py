"""G-TAD and BMN against literal PyTorch on the same weights, which they read in the public
layout.
"""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from public_heads import arrays_of, converted

from lofi_jax.models.heads.bmn import BMN
from lofi_jax.models.heads.gtad import GTAD
from lofi_jax.weights import head_layouts

torch = pytest.importorskip("torch")
torch_heads = pytest.importorskip("torch_heads")

SNIPPETS, DIM, CHANNELS, WIDTHS = 9, 8, 16, (24, 12, 12, 12)
SHAPE = (1, SNIPPETS, DIM)
SEGMENTS = [[(0.05, 0.43), (0.56, 0.98)], [(0.12, 0.88)]]
GRAPH = {"groups": 4, "group_width": 2, "k": 3}

CASES = {
    "gtad": ("gtad", {"bins": (32, 4)}, SNIPPETS),
    "gtad, thumos14": (
        "gtad",
        {"bins": (3, 3), "map_kernel": 3, "max_duration": 5, "rules": "thumos14"},
        5,
    ),
    "bmn": ("bmn", {"bins": 5, "samples": 3, "layout": "start_end"}, SNIPPETS),
    "bmn, mmaction2": ("bmn", {"bins": 5, "samples": 3, "layout": "duration_start"}, SNIPPETS),
}


# The cells that boundaries are labelled by, and the weights and extra counts of the loss.
OWN = {
    "gtad": ((-0.5, 1.5), (1.0, 10.0), 0.0),
    "gtad, thumos14": ((-0.5, 0.5), (10.0, 1.0), 10.0),
    "bmn": ((-0.5, 0.5), (1.0, 10.0), 0.0),
    "bmn, mmaction2": ((-0.5, 1.5), (1.0, 10.0), 0.0),
}


def heads(kind, options, rows):
    """Our head, PyTorch's with random weights, and the layout of its checkpoints."""
    torch.manual_seed(0)
    if kind == "bmn":
        ours = BMN(CHANNELS, WIDTHS, **options)
        theirs = torch_heads.BMN(DIM, CHANNELS, WIDTHS, snippets=SNIPPETS, **options)
        return ours, theirs, head_layouts.bmn_layout
    ours = GTAD(CHANNELS, WIDTHS, **options, **GRAPH)
    theirs = torch_heads.GTAD(
        DIM,
        CHANNELS,
        WIDTHS,
        options["bins"],
        **GRAPH,
        durations=rows,
        kernel=options.get("map_kernel", 1),
    )
    return ours, theirs, head_layouts.gtad_layout(sum(options["bins"]))


def learned(named):
    return ((name, array) for name, array in named if name != "sample_mask")


def batch():
    segments = np.zeros((2, 3, 2), np.float32)
    for i, video in enumerate(SEGMENTS):
        segments[i, : len(video)] = video
    return {"segments": segments, "valid": segments[..., 1] > 0}


@pytest.mark.parametrize("case", CASES)
def test_outputs_loss_and_gradients_equal_pytorch(case):
    kind, options, rows = CASES[case]
    layout = options.get("layout", "duration_start")
    ours, theirs, public = heads(kind, options, rows)
    features = np.random.default_rng(0).normal(size=(2, SNIPPETS, DIM)).astype(np.float32)
    params = converted(arrays_of(learned(theirs.named_parameters())), ours, public, SHAPE)
    key = jax.random.key(3)

    # PyTorch: outputs, and the loss with the anchors that our key draws.
    maps, start, end = theirs(torch.from_numpy(features).transpose(1, 2))
    cells = torch_heads.cells(SNIPPETS, rows, layout)
    row, column = [c[0] for c in cells], [c[1] for c in cells]
    uniform = np.zeros((2, 2, *maps.shape[2:]), np.float32)
    uniform[:, :, row, column] = 1 - jax.random.uniform(key, (2, 2, len(cells)))
    cell, of_terms, extra = OWN[case]
    targets = [torch_heads.targets(video, SNIPPETS, rows, layout, cell) for video in SEGMENTS]
    ious, masks, starts, ends = (torch.stack(t) for t in zip(*targets, strict=True))
    wanted = torch_heads.loss(
        *(maps, start, end, ious, masks[0], starts, ends, torch.from_numpy(uniform)),
        of_terms,
        extra,
    )
    sum(wanted.values()).backward()
    gradients = arrays_of(
        (name, p.grad) for name, p in learned(theirs.named_parameters()) if p.requires_grad
    )

    def loss(params):
        outputs = ours.apply(params, features)
        total, terms = ours.loss(outputs, batch(), key)
        return total, (outputs, terms)

    (_, (outputs, terms)), found = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    close = {"rtol": 1e-4, "atol": 1e-5}
    for name, expected in {
        "start": start,
        "end": end,
        "regression": maps[:, 0, row, column],
        "classification": maps[:, 1, row, column],
    }.items():
        probability = jax.nn.sigmoid(outputs[name])
        np.testing.assert_allclose(probability, expected.detach(), **close, err_msg=name)
    assert terms.keys() == wanted.keys()
    for name in terms:
        np.testing.assert_allclose(terms[name], wanted[name].detach(), **close, err_msg=name)
    expected = flatten_dict(converted(gradients, ours, public, SHAPE), sep=".")
    found = flatten_dict(found, sep=".")
    assert found.keys() == expected.keys()
    for name in found:
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            found[name], expected[name], rtol=1e-4, atol=1e-4 * scale, err_msg=name
        )
