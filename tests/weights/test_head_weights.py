"""Which head a public checkpoint is of. That its arrays find their places is shown by
test_heads_parity.py.
"""

import numpy as np
import pytest

from lofi_jax.errors import UserError
from lofi_jax.weights import head_layouts


def gtad(bins=36, kernel=1):
    shapes = {
        "backbone1.0": (256, 100, 3),
        "backbone1.2.tconvs.2": (128, 4, 3),
        "localization.0": (512, 256 * bins, 1, 1),
        "localization.2": (128, 512, 1, 1),
        "localization.4": (128, 128, kernel, kernel),
        "localization.6": (128, 128, kernel, kernel),
    }
    return {f"module.{layer}.weight": np.empty(shape) for layer, shape in shapes.items()}


def test_both_published_variants_of_gtad_are_told_apart():
    common = {"channels": 256, "widths": (512, 128, 128, 128), "groups": 32, "group_width": 4}
    assert head_layouts.gtad_options(gtad()) == common | {"bins": (32, 4)}
    thumos14 = {"bins": (16, 16), "map_kernel": 3, "max_duration": 64}
    thumos14 |= {"rules": "thumos14", "longest": 59}
    assert head_layouts.gtad_options(gtad(32, 3)) == common | thumos14


def test_another_variant_of_gtad_is_refused():
    with pytest.raises(UserError, match="32 bins an anchor and 1 x 1 .* neither"):
        head_layouts.gtad_options(gtad(32, 1))


@pytest.mark.parametrize("options", [head_layouts.gtad_options, head_layouts.bmn_options])
def test_a_checkpoint_of_something_else_lacks_a_layer(options):
    with pytest.raises(UserError, match="lacks (backbone1|x_1d_b).0.weight"):
        options({"conv1.weight": np.zeros((64, 3, 7, 7))})


@pytest.mark.parametrize("shape", [(), (7,), (6, 7), (0, 7)])
def test_sampling_weights_of_another_size_are_refused(shape):
    arrays = {f"x_2d_p.{i}.weight": np.ones((1, 1, 1, 1)) for i in (0, 2, 4)}
    arrays |= {"x_1d_b.0.weight": np.ones((1, 1, 1)), "x_3d_p.0.weight": np.ones((1, 1, 5, 1, 1))}
    with pytest.raises(UserError, match="sample_mask of shape .* is none of 5 bins"):
        head_layouts.bmn_options(arrays | {"sample_mask": np.ones(shape)})


@pytest.mark.parametrize(
    ("valid", "layout"), [(True, "start_end"), (False, "duration_start"), (None, "start_end")]
)
def test_bmns_layout_is_told_from_its_sampling_weights(valid, layout):
    shapes = {
        "x_1d_b.0": (256, 100, 3),
        "x_3d_p.0": (512, 256, 5, 1, 1),
        "x_2d_p.0": (128, 512, 1, 1),
        "x_2d_p.2": (128, 128, 3, 3),
        "x_2d_p.4": (128, 128, 3, 3),
    }
    arrays = {f"{layer}.weight": np.empty(shape) for layer, shape in shapes.items()}
    if valid is not None:
        mask = np.ones((6, 5, 6, 6))
        mask[..., -1, -1] = valid
        arrays["sample_mask"] = mask.reshape(6, -1)
    expected = {"channels": 256, "widths": (512, 128, 128, 128), "bins": 5, "layout": layout}
    assert head_layouts.bmn_options(arrays) == expected
