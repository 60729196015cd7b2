"""TriDet: a pyramid of scalable-granularity perception layers, and a trident head whose boundaries
are expectations over bins (arXiv 2303.07347).

It shares ActionFormer's pyramid, targets, loss and proposals: see point_head.py. A boundary is
found relative to a point: the distance to it is one of `bins` + 1 whole numbers of points, and its
distribution adds up what the point expects of each distance and how likely an action of the class
starts or ends at the moment there.
"""

from collections.abc import Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lofi_jax.detection.proposals import Suppression
from lofi_jax.models.heads.perception import GROUPS, Perception
from lofi_jax.models.heads.point_head import PointHead
from lofi_jax.models.layers.local_transformer import Tower


class TriDet(PointHead):
    """The head, which classifies by itself. Defaults are the authors' THUMOS14 settings; their
    training has iou_power=0.2, drop_path=0.1 and input_noise=0.0005.

    >>> head = TriDet(classes=3, channels=16, hidden=16, stem=1, levels=2, bins=4)
    >>> features = np.zeros((1, 8, 4), np.float32)
    >>> params = jax.jit(head.init)(jax.random.key(0), features)
    >>> outputs = jax.device_get(jax.jit(head.apply)(params, features))
    >>> outputs["distances"][0].shape
    (1, 8, 3, 2)

    Attributes:
        window: points that the window branch of a level's layer sees, an odd number; one for all
            levels or one each. The stem's see one.
        factor: the wide branch sees about (window + 1) times this (the paper's k).
        hidden: channels inside a layer's perceptron.
        deviation: of a layer's initial weights. At 0, the authors' for THUMOS14, each branch is a
            product of two zeros: it has no gradient and stays zero, and the layer is a perceptron.
        bins: the largest distance, in points of the level.
        tower_channels: of the towers; 0: as many as `channels`.
        kernel: of the towers of classes and distances.
        boundary_kernel: of the towers of starts and ends.
    """

    window: int | tuple[int, ...] = 1
    factor: float = 5.0
    hidden: int = 768
    deviation: float = 0.0
    bins: int = 16
    tower_channels: int = 0
    kernel: int = 3
    boundary_kernel: int = 3

    def __post_init__(self):
        """Raises TypeError: not an odd window for each level, or channels that do not form groups;
        or as `PointHead`.
        """
        windows = self._windows()
        if len(windows) != self.levels or not all(window % 2 for window in windows):
            raise TypeError(
                f"window {self.window} is not one odd number or {self.levels}, one a level"
            )
        if self.channels % GROUPS:
            raise TypeError(f"{self.channels} channels are not divisible by {GROUPS} groups")
        super().__post_init__()

    def padded_lengths(self, snippets: int) -> tuple[int, int]:
        """As in the public network: a layer sees the mean over all points, padding included."""
        if not self.padded:
            return snippets, snippets
        multiple = max(2**i * window for i, window in enumerate(self._windows()))
        full = self.padded if snippets <= self.padded else -(-snippets // multiple) * multiple
        return full, full

    def stem_block(self, i: int) -> nn.Module:
        return Perception(1, self.factor, self.hidden, deviation=self.deviation, name=f"stem{i}")

    def level_block(self, i: int) -> nn.Module:
        return Perception(
            self._windows()[i],
            self.factor,
            self.hidden,
            stride=2,
            scaled=True,
            deviation=self.deviation,
            drop_path=self.drop_path,
            name=f"level{i}",
        )

    def towers(
        self, pyramid: Sequence[Array], real: Sequence[np.ndarray | None], points: Sequence[int]
    ) -> dict[str, list[Array]]:
        channels = self.tower_channels or self.channels
        classify = self.classification_tower(channels=channels, kernel=self.kernel)
        start, end = (
            self.classification_tower(name, channels=channels, kernel=self.boundary_kernel)
            for name in ("start", "end")
        )
        regress = Tower(channels, 2 * (self.bins + 1), kernel=self.kernel, name="regression")
        outputs = {"classification": [], "distances": []}
        for i, (x, count) in enumerate(zip(pyramid, points, strict=True)):
            offsets = nn.relu(self.distance_scale(i) * regress(x, real[i]))[:, :count]
            # The towers of the boundaries do not train the pyramid.
            boundaries = (f(jax.lax.stop_gradient(x), real[i])[:, :count] for f in (start, end))
            outputs["classification"].append(classify(x, real[i])[:, :count])
            outputs["distances"].append(expected_distances(offsets, *boundaries))
        return outputs

    def _windows(self) -> tuple[int, ...]:
        return self.window if isinstance(self.window, tuple) else (self.window,) * self.levels


class TriDetAgnostic(TriDet):
    """The head with a single class, any action, as its authors train it for ActivityNet; a video
    classifier adds labels.

    Their settings there are channels=256, window=15, factor=1.3, hidden=2048, deviation=0.2,
    bins=12, tower_channels=512, positions=768, padded=768, label_smoothing=0.1, iou_power=1.0,
    input_noise=0.5 and shortest=0.1, and votes from a tIoU of 0.95 on.
    """

    classifies: ClassVar[bool] = False
    suppression: ClassVar[Suppression] = TriDet.suppression._replace(sigma=0.7)

    classes: int = 1


def expected_distances(
    offsets: Float[Array, "B T twice_bins"],
    start: Float[Array, "B T C"],
    end: Float[Array, "B T C"],
) -> Float[Array, "B T C 2"]:
    """The distances to start and end, in points (section 3.3, equations 6 and 7).

    The distribution over a distance of n points is the softmax of the point's own logit for n plus
    the logit of the boundary n points before, or after; outside of the video that is 0.

    Args:
        offsets: logits of `bins` + 1 distances, to the start, farthest first, then to the end,
            nearest first.
        start, end: logits of each class's boundaries.
    """
    points, bins = offsets.shape[1], offsets.shape[2] // 2 - 1
    offsets, start, end = (x.astype(jnp.float32) for x in (offsets, start, end))
    before = jnp.pad(start, ((0, 0), (bins, 0), (0, 0)))
    after = jnp.pad(end, ((0, 0), (0, bins), (0, 0)))
    nearest_first = jnp.arange(bins + 1.0)
    distances = []
    for boundary, own, number in (
        (before, offsets[..., : bins + 1], nearest_first[::-1]),
        (after, offsets[..., bins + 1 :], nearest_first),
    ):
        there = jnp.stack([boundary[:, n : n + points] for n in range(bins + 1)], axis=-1)
        distances.append(jax.nn.softmax(there + own[:, :, None], axis=-1) @ number)
    return jnp.stack(distances, axis=-1)
