"""ActionFormer's public checkpoints (github.com/happyharrycn/actionformer_release)."""

from collections.abc import Mapping

import numpy as np

from lofi_jax.errors import UserError
from lofi_jax.weights.assign import Layout
from lofi_jax.weights.head_layouts import shape

# What of its authors' configs is not in a checkpoint, by its classes and channels of features:
# THUMOS14 on I3D; ActivityNet on TSP and on I3D, resized to 192; the verbs and the nouns of
# EPIC-Kitchens on SlowFast.
_ACTIVITYNET = {
    "window": (7, 7, 7, 7, 7, 0),
    "positions": 192,
    "padded": 192,
    "label_smoothing": 0.1,
    "regression_weight": 2.0,
    "shortest": 0.001,
}
_EPIC = {"window": 9, "padded": 2304, "candidates": 5000}
_PUBLISHED = {
    (20, 2048): {"window": 19, "padded": 2304},
    (1, 512): _ACTIVITYNET,
    (1, 2048): _ACTIVITYNET,
    (97, 2304): _EPIC,
    (300, 2304): _EPIC,
}
_MOST_LEVELS = 12


def tower(public: str, ours: str) -> tuple[tuple[str, str], ...]:
    """The rules of a tower's hidden layers."""
    return tuple(
        (f"^{public}.{layer}", f"^{ours}.{name}")
        for i in range(2)
        for layer, name in ((f"head.{i}.conv.", f"conv{i + 1}."), (f"norm.{i}.", f"norm{i + 1}."))
    )


layout = Layout(
    (
        *((f"^backbone.embd.{i}.conv.", f"^embed{i + 1}.") for i in range(2)),
        *((f"^backbone.embd_norm.{i}.", f"^embed_norm{i + 1}.") for i in range(2)),
        ("^backbone.stem.#.", "^stem#."),
        *((f"^backbone.branch.{i}.", f"^level{i + 1}.") for i in range(_MOST_LEVELS)),
        ("ln1.", "attention_norm."),
        ("ln2.", "mlp_norm."),
        ("attn.", "attention."),
        *((f"attention.{x}_conv.conv.", f"attention.{x}_conv.") for x in ("query", "key", "value")),
        ("attention.proj.", "attention.out."),
        ("mlp.0.", "hidden."),
        ("mlp.3.", "mlp_out."),
        ("drop_path_attn.scale", "attention_scale"),
        ("drop_path_mlp.scale", "mlp_scale"),
        ("^neck.fpn_norms.#.", "^level_norm#."),
        *tower("cls_head", "classification"),
        ("^cls_head.cls_head.conv.", "^classification.out."),
        *tower("reg_head", "regression"),
        ("^reg_head.offset_head.conv.", "^regression.out."),
        ("^reg_head.scale.#.scale", "^distance_scale#"),
    ),
    vectors=True,
)


def options(arrays: Mapping[str, np.ndarray], agnostic: bool) -> dict:
    """The arguments of `ActionFormer` for a public checkpoint, or of `ActionFormerAgnostic` for one
    of a single class.

    Raises:
        UserError: the other one's; or none that its authors published, so that its window is not
            known.
    """
    channels, features, _ = shape(arrays, "backbone.embd.0.conv")
    classes = shape(arrays, "cls_head.cls_head.conv")[0]
    if agnostic != (classes == 1):
        other = "actionformer" if agnostic else "actionformer_agnostic"
        raise UserError(f"its classes are {classes}: use --head={other}")
    if (classes, features) not in _PUBLISHED:
        raise UserError(
            f"{classes} classes on features of {features} channels are none that its authors"
            " published (THUMOS14,"
            " ActivityNet, EPIC-Kitchens), and a checkpoint does not tell the window of its"
            " attention"
        )
    return {
        "classes": classes,
        "channels": channels,
        "stem": count(arrays, "backbone.stem"),
        "levels": 1 + count(arrays, "backbone.branch"),
        **_PUBLISHED[classes, features],
    }


def count(arrays: Mapping[str, np.ndarray], blocks: str) -> int:
    """How many numbered blocks there are."""
    parts = (key.removeprefix("module.").removeprefix(f"{blocks}.").split(".")[0] for key in arrays)
    return len({part for part in parts if part.isdigit()})
