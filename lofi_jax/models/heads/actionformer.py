"""ActionFormer: a multi-scale transformer with local attention; every moment is a candidate (arXiv
2202.07925).

The blocks of its pyramid are transformer blocks with windowed attention, and one tower regresses
the distances of every point. See point_head.py. The authors' dropout, other than drop path, is left
out.
"""

from collections.abc import Sequence
from typing import ClassVar

import flax.linen as nn
import numpy as np
from jaxtyping import Array

from lofi_jax.detection.proposals import Suppression
from lofi_jax.models.heads.point_head import PointHead
from lofi_jax.models.layers.local_transformer import Block, Tower


class ActionFormer(PointHead):
    """The head, which classifies by itself. Defaults are the paper's THUMOS14 settings; their
    training has drop_path=0.1.

    >>> head = ActionFormer(classes=3, channels=8, stem=1, levels=2)
    >>> features = np.zeros((1, 8, 4), np.float32)
    >>> params = jax.jit(head.init)(jax.random.key(0), features)
    >>> outputs = jax.device_get(jax.jit(head.apply)(params, features))
    >>> [found.labels.dtype.kind for found in head.proposals(outputs)]
    ['i']

    Attributes:
        heads: of the attention.
        window: of the attention, in points of the level; one number for all levels or one each; 0:
            all points.
    """

    heads: int = 4
    window: int | tuple[int, ...] = 19

    def __post_init__(self):
        """Raises TypeError: not a window for each level; or as `PointHead`."""
        if isinstance(self.window, tuple) and len(self.window) != self.levels:
            raise TypeError(f"window {self.window} is not one number or {self.levels}, one a level")
        super().__post_init__()

    def padded_lengths(self, snippets: int) -> tuple[int, int]:
        return padded_length(snippets, self.padded, self._windows())

    def stem_block(self, i: int) -> nn.Module:
        window = self._windows()[0]
        return Block(self.heads, window, drop_path=self.drop_path, name=f"stem{i}")

    def level_block(self, i: int) -> nn.Module:
        window = self._windows()[i]
        return Block(self.heads, window, 2, self.drop_path, name=f"level{i}")

    def towers(
        self, pyramid: Sequence[Array], real: Sequence[np.ndarray | None], points: Sequence[int]
    ) -> dict[str, list[Array]]:
        classify = self.classification_tower()
        regress = Tower(self.channels, 2, name="regression")
        outputs = {"classification": [], "distances": []}
        for i, (x, count) in enumerate(zip(pyramid, points, strict=True)):
            distances = nn.relu(self.distance_scale(i) * regress(x, real[i]))
            outputs["classification"].append(classify(x, real[i])[:, :count])
            outputs["distances"].append(distances[:, :count])
        return outputs

    def _windows(self) -> tuple[int, ...]:
        return self.window if isinstance(self.window, tuple) else (self.window,) * self.levels


class ActionFormerAgnostic(ActionFormer):
    """The head with a single class, any action, as its authors train it for ActivityNet; a video
    classifier adds labels.

    Their settings there are channels=256, window=(7, 7, 7, 7, 7, 0), positions=192,
    label_smoothing=0.1, regression_weight=2.0 and shortest=0.001, at 192 snippets, and votes from a
    tIoU of 0.9 on.
    """

    classifies: ClassVar[bool] = False
    suppression: ClassVar[Suppression] = ActionFormer.suppression._replace(sigma=0.75)

    classes: int = 1


def padded_length(snippets: int, padded: int, windows: Sequence[int]) -> tuple[int, int]:
    """The padded length of a video here, and in the public network.

    The public network pads a video to the longest length in training, and a longer one to a
    multiple that its windows need. No value of the video depends on more than one padded point per
    level, so we pad no further.

    Args:
        snippets: of the video.
        padded: the longest video in training; 0: no padding.
        windows: of each level.
    """
    if not padded:
        return snippets, snippets
    needed = (2**i * max(window // 2 * 2, 1) for i, window in enumerate(windows))
    multiple = max(needed)
    full = padded if snippets <= padded else -(-snippets // multiple) * multiple
    coarsest = 2 ** (len(windows) - 1)
    return min(full, coarsest * (-(-snippets // coarsest) + 1)), full
