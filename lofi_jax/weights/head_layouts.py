"""Public checkpoints of the heads: which head they are of, and where each array belongs in it."""

from collections.abc import Mapping

import numpy as np

from lofi_jax.errors import UserError
from lofi_jax.weights.assign import Layout

_GTAD = (
    ("^backbone1.0.", "^base."),
    ("^backbone1.2.", "^base_gcn."),
    ("^regu_s.0.", "^start_gcn."),
    ("^regu_s.1.", "^start_out."),
    ("^regu_e.0.", "^end_gcn."),
    ("^regu_e.1.", "^end_out."),
    ("^backbone2.0.", "^proposal_gcn."),
    *((f"tconvs.{2 * i}.", f"temporal{i + 1}.") for i in range(3)),
    *((f"sconvs.{2 * i}.", f"semantic{i + 1}.") for i in range(3)),
    ("^localization.0.", "^align."),
    *((f"^localization.{2 * i}.", f"^map{i}.") for i in range(1, 4)),
    ("^localization.8.", "^map_out."),
)
_BMN = (
    ("^x_1d_b.0.", "^base1."),
    ("^x_1d_b.2.", "^base2."),
    ("^x_1d_s.0.", "^start_conv."),
    ("^x_1d_s.2.", "^start_out."),
    ("^x_1d_e.0.", "^end_conv."),
    ("^x_1d_e.2.", "^end_out."),
    ("^x_1d_p.0.", "^proposal_conv."),
    ("^x_3d_p.0.", "^align."),
    *((f"^x_2d_p.{2 * i}.", f"^map{i + 1}.") for i in range(3)),
    ("^x_2d_p.6.", "^map_out."),
)


def gtad_layout(bins: int) -> Layout:
    """G-TAD's own layout (github.com/frostinassiky/gtad). The first layer on the map sees channel x
    bins + bin.

    Args:
        bins: of an anchor, all together.
    """

    def arrange(path: str, array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, bins, array.shape[-1]) if path == "params.align.kernel" else array

    return Layout(_GTAD, arrange)


def _bins_second(path: str, array: np.ndarray) -> np.ndarray:
    """BMN's first layer on the map: (bins, 1, 1, channels, out) -> (channels, bins, out)."""
    return np.moveaxis(array.squeeze((1, 2)), 0, 1) if path == "params.align.kernel" else array


# Of BMN's common PyTorch port (github.com/JJBOY/BMN-Boundary-Matching-Network) and of mmaction2.
bmn_layout = Layout(_BMN, _bins_second)


def gtad_options(arrays: Mapping[str, np.ndarray]) -> dict:
    """The arguments of `GTAD` for a public checkpoint.

    Raises:
        UserError: a variant that G-TAD's authors did not publish.
    """
    channels, temporal = shape(arrays, "backbone1.0")[0], shape(arrays, "backbone1.2.tconvs.2")
    layers = [shape(arrays, f"localization.{i}", axes=4) for i in (0, 2, 4, 6)]
    variant = layers[0][1] // channels, layers[2][-1]
    variants = {
        (36, 1): {"bins": (32, 4)},
        (32, 3): {
            "bins": (16, 16),
            "map_kernel": 3,
            "max_duration": 64,
            "rules": "thumos14",
            "longest": 59,
        },
    }
    if variant not in variants:
        raise UserError(
            f"G-TAD with {variant[0]} bins an anchor and {variant[1]} x {variant[1]} convolutions"
            " on the map is neither"
            " the ActivityNet variant (36, 1 x 1) nor the THUMOS14 one (32, 3 x 3)"
        )
    return {
        "channels": channels,
        "widths": tuple(one[0] for one in layers),
        "groups": temporal[0] // temporal[1],
        "group_width": temporal[1],
        **variants[variant],
    }


def bmn_options(arrays: Mapping[str, np.ndarray]) -> dict:
    """The arguments of `BMN` for a public checkpoint.

    The layout of its map is told from its sampling weights; without them it is the common port's.

    Raises:
        UserError: not its layers, or sampling weights of another size.
    """
    channels, aligned = shape(arrays, "x_1d_b.0")[0], shape(arrays, "x_3d_p.0", axes=5)
    options = {
        "channels": channels,
        "widths": (aligned[0], *(shape(arrays, f"x_2d_p.{i}", axes=4)[0] for i in (0, 2, 4))),
        "bins": aligned[2],
        "layout": "start_end",
    }
    mask = arrays.get("sample_mask", arrays.get("module.sample_mask"))
    if mask is not None and not _has_bins(mask, aligned[2]):
        raise UserError(f"sample_mask of shape {mask.shape} is none of {aligned[2]} bins")
    # The last cell is the last snippet alone, or no anchor at all.
    if mask is not None and not mask.reshape(*mask.shape[:1], aligned[2], -1)[..., -1].any():
        options["layout"] = "duration_start"
    return options


def _has_bins(mask: np.ndarray, bins: int) -> bool:
    return bool(mask.ndim > 1 and mask.size) and mask.size % (len(mask) * bins) == 0


def shape(arrays: Mapping[str, np.ndarray], layer: str, axes: int = 3) -> tuple[int, ...]:
    """The shape of a layer's weight: of a convolution over time, unless it has more axes.

    Raises:
        UserError: there is none, or it has another number of axes, or no numbers.
    """
    for key in (f"{layer}.weight", f"module.{layer}.weight"):
        if key in arrays:
            found = arrays[key].shape
            if len(found) != axes or not all(found):
                raise UserError(f"{key} has the shape {found}, not {axes} axes that hold numbers")
            return found
    raise UserError(f"lacks {layer}.weight")
