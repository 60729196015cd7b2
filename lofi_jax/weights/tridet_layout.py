"""TriDet's public checkpoints (github.com/dingfengshi/TriDet)."""

from collections.abc import Mapping

import numpy as np

from lofi_jax.errors import UserError
from lofi_jax.weights.actionformer_layout import count, tower
from lofi_jax.weights.assign import Layout
from lofi_jax.weights.head_layouts import shape

# What of its authors' configs is not in a checkpoint, by its classes and channels of features:
# THUMOS14 on I3D; ActivityNet on TSP; HACS on SlowFast and on I3D; the verbs and the nouns of
# EPIC-Kitchens on SlowFast.
_HACS = {"label_smoothing": 0.1, "iou_power": 1.0, "deviation": 0.1, "factor": 1.2}
_EPIC = {"padded": 2304, "iou_power": 0.25, "candidates": 5000}
_PUBLISHED = {
    (20, 2048): {"padded": 2304, "iou_power": 0.2, "factor": 5.0},
    (1, 512): {
        "positions": 768,
        "padded": 768,
        "label_smoothing": 0.1,
        "iou_power": 1.0,
        "deviation": 0.2,
        "factor": 1.3,
        "shortest": 0.1,
    },
    (200, 2304): {"positions": 960, "padded": 960, **_HACS},
    (200, 2048): {"positions": 512, "padded": 512, **_HACS},
    (97, 2304): {"factor": 2.0, **_EPIC},
    (300, 2304): {"factor": 4.0, "label_smoothing": 0.1, **_EPIC},
}
_MOST_LEVELS = 12

layout = Layout(
    (
        *((f"^backbone.embd.{i}.conv.", f"^embed{i + 1}.") for i in range(2)),
        *((f"^backbone.embd_norm.{i}.", f"^embed_norm{i + 1}.") for i in range(2)),
        ("^backbone.stem.#.", "^stem#."),
        *((f"^backbone.branch.{i}.", f"^level{i + 1}.") for i in range(_MOST_LEVELS)),
        ("ln.", "norm."),
        ("gn.", "mlp_norm."),
        ("global_fc.", "moment_gate."),
        ("fc.", "moment."),
        ("psi.", "window_gate."),
        ("convw.", "window."),
        ("convkw.", "wide_window."),
        ("mlp.0.", "hidden."),
        ("mlp.2.", "mlp_out."),
        ("drop_path_out.scale", "scale"),
        ("drop_path_mlp.scale", "mlp_scale"),
        ("^neck.fpn_norms.#.", "^level_norm#."),
        *tower("cls_head", "classification"),
        ("^cls_head.cls_head.conv.", "^classification.out."),
        *tower("start_head", "start"),
        ("^start_head.cls_head.conv.", "^start.out."),
        *tower("end_head", "end"),
        ("^end_head.cls_head.conv.", "^end.out."),
        *tower("reg_head", "regression"),
        ("^reg_head.offset_head.conv.", "^regression.out."),
        ("^reg_head.scale.#.scale", "^distance_scale#"),
    ),
    vectors=True,
)


def options(arrays: Mapping[str, np.ndarray], agnostic: bool) -> dict:
    """The arguments of `TriDet` for a public checkpoint, or of `TriDetAgnostic` for one of a single
    class.

    Raises:
        UserError: the other one's; or none that its authors published, so that its padding is not
            known.
    """
    channels, features, _ = shape(arrays, "backbone.embd.0.conv")
    tower_channels, _, kernel = shape(arrays, "cls_head.head.0.conv")
    classes = shape(arrays, "cls_head.cls_head.conv")[0]
    boundary_kernel = shape(arrays, "start_head.head.0.conv")[-1]
    if agnostic != (classes == 1):
        other = "tridet" if agnostic else "tridet_agnostic"
        raise UserError(f"its classes are {classes}: use --head={other}")
    if (classes, features) not in _PUBLISHED:
        raise UserError(
            f"{classes} classes on features of {features} channels are none that its authors"
            " published (THUMOS14, ActivityNet, HACS, EPIC-Kitchens), and a checkpoint does not"
            " tell the length that videos are padded to"
        )
    return {
        "classes": classes,
        "channels": channels,
        "stem": count(arrays, "backbone.stem"),
        "levels": 1 + count(arrays, "backbone.branch"),
        "window": shape(arrays, "backbone.branch.0.convw")[-1],
        "hidden": shape(arrays, "backbone.branch.0.mlp.0")[0],
        "bins": shape(arrays, "reg_head.offset_head.conv")[0] // 2 - 1,
        "tower_channels": tower_channels,
        "kernel": kernel,
        "boundary_kernel": boundary_kernel,
        **_PUBLISHED[classes, features],
    }
