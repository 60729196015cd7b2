"""The range of every number in a config, and what text and pairs of numbers may be."""

import math
from typing import Any

from flax.traverse_util import flatten_dict

from lofi_jax.auto import AUTO, AUTO_KEYS
from lofi_jax.bounds import COUNT, FRACTION, PIXELS, POSITIVE, QUALITY, Range
from lofi_jax.config.settings import Config
from lofi_jax.config.typed import to_plain
from lofi_jax.errors import UserError

# Those of the other keys: from 0 on.
_RANGES = {
    "seed": Range(0, 2**32 - 1),  # what all random generators take
    "data.snippets": COUNT,
    "data.fold": Range(-1),
    "data.brightness": FRACTION,
    "data.contrast": FRACTION,
    "data.saturation": FRACTION,
    "data.hue": Range(0, 0.5),
    "data.rand_magnitude": Range(0, 10),
    "data.window_overlap": Range(0, 1, below=True),
    "data.frames": COUNT,
    "data.height": PIXELS,
    "data.width": PIXELS,
    "data.short_side": PIXELS,
    "data.quality": QUALITY,
    "source.snippets": COUNT,
    "source.stride": COUNT,
    "synthetic.source_clips": COUNT,
    "synthetic.train_videos": COUNT,
    "synthetic.test_videos": COUNT,
    "joint.factors.spatial": COUNT,
    "joint.factors.temporal": COUNT,
    "joint.factors.both_spatial": COUNT,
    "joint.factors.both_temporal": COUNT,
    "joint.factors.short_cycle": COUNT,
    "joint.factors.long_cycle": COUNT,
    "joint.accumulate": COUNT,
    "extract.batch_size": COUNT,
    "classifier.hidden": COUNT,
    "classifier.top_classes": COUNT,
    "detect.nms_sigma": POSITIVE,
    "detect.nms_threshold": FRACTION,
    "detect.min_score": FRACTION,
    "detect.vote": FRACTION,
    "detect.top_k": COUNT,
    "detect.batch_size": COUNT,
    "mesh.snippet": COUNT,
    "mesh.cpu_devices": Range(1, 4096),
    "log.every": COUNT,
}
_TRAINING = {
    "epochs": Range(0, 1e6, above=True),
    "batch_size": COUNT,
    "ema": Range(0, 1, below=True),
    "label_smoothing": Range(0, 1, below=True),
    "optimizer.learning_rate": POSITIVE,
    "optimizer.momentum": Range(0, 1, below=True),
    "optimizer.decay": POSITIVE,
    "optimizer.decay_epochs": POSITIVE,
}
TRAININGS = ("pretrain", "fine_tune", "joint", "head_training", "classifier")
_RANGES |= {f"{part}.{key}": one for part in TRAININGS for key, one in _TRAINING.items()}


def check(config: Config) -> None:
    """Checks every number against its range, and text for what no name or path holds.

    Raises:
        UserError: naming the key.
    """
    for key, value in flatten_dict(to_plain(config), sep=".").items():
        named = key.startswith(("encoder.", "head.", "other_heads."))
        if isinstance(value, str) and not value.isprintable():
            raise UserError(
                f"config.{key} is {value!r}: it holds a character that is not printable"
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if (key in AUTO_KEYS and value == AUTO) or (key == "mesh.data" and value == -1):
            continue
        if named and math.isfinite(value):
            continue  # the class knows its options: see `networks.check`
        allowed = _RANGES.get(key, Range())
        if key == "mesh.data":
            allowed = COUNT
        if named or not allowed.holds(value):
            wanted = "finite" if named else str(allowed)
            raise UserError(f"config.{key} is {_shown(value)}: it must be {wanted}")
    low, high = config.data.crop_area
    if not 0 < low <= high <= 1:
        raise UserError(
            f"config.data.crop_area is {(low, high)}: it must be the least and the largest part of"
            " the image, above 0 and up to 1"
        )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
