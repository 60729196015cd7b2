"""The range of every number in a config, and what text and pairs of numbers may be."""

import dataclasses
import math
from typing import Any

from flax.traverse_util import flatten_dict

from lofi_jax.auto import AUTO, AUTO_KEYS
from lofi_jax.config.settings import Config
from lofi_jax.config.typed import to_plain
from lofi_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`; `above`, `below`: without the end itself.

    No count or rate of use is above the default's 1e9, and the integers of NumPy and JAX hold it.
    """

    least: float = 0.0
    most: float = 1e9
    above: bool = False
    below: bool = False

    def holds(self, number: float) -> bool:
        """Whether a number, which may be NaN, is in it."""
        high = number >= self.least and (number > self.least or not self.above)
        return high and number <= self.most and (number < self.most or not self.below)

    def __str__(self) -> str:
        if self.most == Range.most:
            return f"above {self.least:g}" if self.above else f"at least {self.least:g}"
        left, right = "(" if self.above else "[", ")" if self.below else "]"
        return f"in {left}{self.least:.10g}, {self.most:.10g}{right}"


_COUNT = Range(1)
_POSITIVE = Range(above=True)
_FRACTION = Range(0, 1)
_PIXELS = Range(1, 65_500)  # a JPEG holds no more
# Those of the other keys: from 0 on.
_RANGES = {
    "seed": Range(0, 2**32 - 1),  # what all random generators take
    "data.snippets": _COUNT,
    "data.fold": Range(-1),
    "data.brightness": _FRACTION,
    "data.contrast": _FRACTION,
    "data.saturation": _FRACTION,
    "data.hue": Range(0, 0.5),
    "data.rand_magnitude": Range(0, 10),
    "data.window_overlap": Range(0, 1, below=True),
    "data.frames": _COUNT,
    "data.height": _PIXELS,
    "data.width": _PIXELS,
    "data.short_side": _PIXELS,
    "data.quality": Range(1, 100),
    "source.snippets": _COUNT,
    "source.stride": _COUNT,
    "synthetic.source_clips": _COUNT,
    "synthetic.train_videos": _COUNT,
    "synthetic.test_videos": _COUNT,
    "joint.factors.spatial": _COUNT,
    "joint.factors.temporal": _COUNT,
    "joint.factors.both_spatial": _COUNT,
    "joint.factors.both_temporal": _COUNT,
    "joint.factors.short_cycle": _COUNT,
    "joint.factors.long_cycle": _COUNT,
    "joint.accumulate": _COUNT,
    "extract.batch_size": _COUNT,
    "classifier.hidden": _COUNT,
    "classifier.top_classes": _COUNT,
    "detect.nms_sigma": _POSITIVE,
    "detect.nms_threshold": _FRACTION,
    "detect.min_score": _FRACTION,
    "detect.vote": _FRACTION,
    "detect.top_k": _COUNT,
    "detect.batch_size": _COUNT,
    "mesh.snippet": _COUNT,
    "mesh.cpu_devices": Range(1, 4096),
    "log.every": _COUNT,
}
_TRAINING = {
    "epochs": Range(0, 1e6, above=True),
    "batch_size": _COUNT,
    "ema": Range(0, 1, below=True),
    "label_smoothing": Range(0, 1, below=True),
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.momentum": Range(0, 1, below=True),
    "optimizer.decay": _POSITIVE,
    "optimizer.decay_epochs": _POSITIVE,
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
            allowed = _COUNT
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
