"""ActionFormer: a multi-scale transformer with local attention; every moment is a candidate (arXiv
2202.07925).

Features pass through convolutions and transformer blocks with windowed attention; further blocks
each halve the length. On every level of this pyramid the same two convolutional towers predict, for
each point, the classes of the actions it lies in and the distances to their start and end. A level
has half as many points as the one before, rounded up, whatever the number of snippets. The authors'
dropout is left out, so that the head is a pure function. Their loss is normalised by a running mean
of the number of positives; here by the batch's own number.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lofi_jax.arrays import AnyArray
from lofi_jax.detection import losses
from lofi_jax.detection.proposals import Proposals, Suppression
from lofi_jax.models.local_transformer import Block, Tower, masked, norm, positions

# Weaker candidates are dropped, before and in suppression (the authors' pre_nms_thresh and
# min_score).
MIN_SCORE = 0.001


class Points(NamedTuple):
    """The candidates of a video of L snippets, on all levels of the pyramid.

    Attributes:
        position: (P,) in units where snippet i has its centre at i.
        stride: (P,) snippets between two points of its level.
        nearest, farthest: (P,) the regression range in snippets, for the distance to an action's
            farther end.
    """

    position: np.ndarray
    stride: np.ndarray
    nearest: np.ndarray
    farthest: np.ndarray


def pyramid_points(snippets: int, levels: int, regression_range: float) -> Points:
    """The points of all levels, finest first.

    Args:
        regression_range: farthest distance to a start or end that the first level learns, in
            snippets. Each further level learns up to twice as far as the one before; the last one
            has no limit.
    """
    rows = []
    for level in range(levels):
        position = np.arange(0.0, snippets, 2**level)
        nearest = regression_range * 2 ** (level - 1) if level else 0.0
        farthest = regression_range * 2**level if level < levels - 1 else np.inf
        numbers = np.array([2.0**level, nearest, farthest])[:, None]
        rows.append(np.vstack([position, np.broadcast_to(numbers, (3, len(position)))]))
    return Points(*np.concatenate(rows, axis=1).astype(np.float32))


class ActionFormer(nn.Module):
    """The head, which classifies by itself. Defaults are the paper's THUMOS14 settings.

    >>> head = ActionFormer(classes=3, channels=8, stem=1, levels=2)
    >>> features = np.zeros((1, 8, 4), np.float32)
    >>> params = jax.jit(head.init)(jax.random.key(0), features)
    >>> outputs = jax.device_get(jax.jit(head.apply)(params, features))
    >>> [found.labels.dtype.kind for found in head.proposals(outputs)]
    ['i']

    Attributes:
        classes: C.
        channels: of all layers.
        heads: of the attention.
        window: of the attention, in points of the level; one number for all levels or one each; 0:
            all points.
        stem: blocks before the pyramid.
        levels: of the pyramid.
        regression_range: see `pyramid_points`.
        center_sample_radius: largest distance from an action's centre at which a point learns it,
            in strides of its level.
        prior: probability of every class before training.
        positions: length of the absolute position embedding; 0: none.
        padded: length to which the public network pads shorter videos (its max_seq_len), for
            weights trained with that padding; 0: no padding.
        label_smoothing: fraction of every label that is spread over the classes and one more.
        regression_weight: of the regression term of the loss.
        candidates: per level, the best ones kept before suppression.
        shortest: candidate length, in snippets.
    """

    classifies: ClassVar[bool] = True
    suppression: ClassVar[Suppression] = Suppression(
        "gaussian", 0.5, 0.5, 0.0, 100, min_score=MIN_SCORE
    )

    classes: int
    channels: int = 512
    heads: int = 4
    window: int | tuple[int, ...] = 19
    stem: int = 2
    levels: int = 6
    regression_range: float = 4.0
    center_sample_radius: float = 1.5
    prior: float = 0.01
    positions: int = 0
    padded: int = 0
    label_smoothing: float = 0.0
    regression_weight: float = 1.0
    candidates: int = 2000
    shortest: float = 0.05

    def __post_init__(self):
        """Raises TypeError: not a window for each level."""
        if isinstance(self.window, tuple) and len(self.window) != self.levels:
            raise TypeError(f"window {self.window} is not one number or {self.levels}, one a level")
        super().__post_init__()

    @nn.compact
    def __call__(self, features: Float[AnyArray, "B L D"]) -> dict[str, list[Array]]:
        """Returns, for each level, "classification" logits (B, T, C) and "distances" (B, T, 2) to
        start and end.

        The distances are in strides of the level, at least 0.
        """
        windows = self._windows()
        snippets = features.shape[1]
        length, full = padded_length(snippets, self.padded, windows)
        real = [
            np.arange(-(-length // 2**i)) * 2**i < snippets if self.padded else None
            for i in range(self.levels)
        ]
        x = jnp.pad(features, ((0, 0), (0, length - snippets), (0, 0)))
        for i in (1, 2):
            x = nn.Conv(self.channels, (3,), padding=1, use_bias=False, name=f"embed{i}")(x)
            x = nn.relu(norm(f"embed_norm{i}")(masked(x, real[0])))
        if self.positions:
            table = positions(full, self.positions, self.channels)[:length]
            x = x + masked(jnp.asarray(table, x.dtype)[None], real[0])
        for i in range(self.stem):
            x = Block(self.heads, windows[0], name=f"stem{i}")(x, real[0])
        pyramid = [x]
        for i in range(1, self.levels):
            block = Block(self.heads, windows[i], 2, name=f"level{i}")
            pyramid.append(block(pyramid[-1], real[i]))

        logit = math.log(self.prior / (1 - self.prior))
        classify = Tower(self.channels, self.classes, logit, name="classification")
        regress = Tower(self.channels, 2, name="regression")
        outputs = {"classification": [], "distances": []}
        for i, x in enumerate(pyramid):
            x = norm(f"level_norm{i}")(x)
            scale = self.param(f"distance_scale{i}", nn.initializers.ones, (), jnp.float32)
            points = -(-snippets // 2**i)
            outputs["classification"].append(classify(x, real[i])[:, :points])
            outputs["distances"].append(nn.relu(scale * regress(x, real[i]))[:, :points])
        return outputs

    def _windows(self) -> tuple[int, ...]:
        return self.window if isinstance(self.window, tuple) else (self.window,) * self.levels

    def loss(
        self, outputs: Mapping[str, Sequence[AnyArray]], batch: Mapping[str, AnyArray], key=None
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Focal loss of all classes and DIoU loss of the positives' distances, over the positives'
        number; in float32.

        Args:
            outputs: of the head.
            batch: "segments" (B, M, 2) float in units of the video, "labels" (B, M) int and "valid"
                (B, M) bool.
            key: unused.
        """
        points = self._points(outputs)
        snippets = outputs["classification"][0].shape[1]
        logits, distances = (
            jnp.concatenate(outputs[name], axis=1).astype(jnp.float32)
            for name in ("classification", "distances")
        )
        assign = jax.vmap(
            lambda s, c, v: assigned(
                points, s * snippets - 0.5, c, v, self.classes, self.center_sample_radius
            )
        )
        classes, wanted = assign(batch["segments"], batch["labels"], batch["valid"])
        positive = classes.max(axis=-1) > 0
        number = jnp.maximum(positive.sum(), 1)
        # A point without an action has no distances; any finite values will do.
        wanted = jnp.where(positive[..., None], wanted, 1.0)
        labels = classes * (1 - self.label_smoothing) + self.label_smoothing / (self.classes + 1)
        regression = (losses.diou(distances, wanted) * positive).sum() / number
        terms = {
            "classification": losses.focal(logits, labels).sum() / number,
            "regression": self.regression_weight * regression,
        }
        return sum(terms.values(), jnp.float32(0)), terms

    def proposals(self, outputs: Mapping[str, Sequence[np.ndarray]]) -> list[Proposals]:
        """Every video's proposals, one per likely class of each point; they may extend beyond the
        video.

        Args:
            outputs: of the head, as NumPy arrays.
        """
        points = self._points(outputs)
        snippets = outputs["classification"][0].shape[1]
        first = np.cumsum([0] + [x.shape[1] for x in outputs["classification"]])
        found = []
        for video in range(len(outputs["classification"][0])):
            parts = []
            for level, logits in enumerate(outputs["classification"]):
                score = 1 / (1 + np.exp(-np.asarray(logits[video], np.float64)))
                point, label = np.nonzero(score > MIN_SCORE)
                best = np.argsort(-score[point, label], kind="stable")[: self.candidates]
                point, label = point[best], label[best]
                distances = np.asarray(outputs["distances"][level][video], np.float64)[point]
                place = first[level] + point
                ends = distances * points.stride[place, None] * [-1, 1]
                ends += points.position[place, None]
                long = ends[:, 1] - ends[:, 0] > self.shortest
                parts.append((ends[long], score[point, label][long], label[long]))
            ends, scores, labels = (np.concatenate(x) for x in zip(*parts, strict=True))
            found.append(Proposals((ends + 0.5) / snippets, scores, labels))
        return found

    def _points(self, outputs) -> Points:
        return pyramid_points(
            outputs["classification"][0].shape[1], self.levels, self.regression_range
        )


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

    def loss(self, outputs, batch, key=None):
        """See `ActionFormer.loss`; labels are ignored."""
        labels = jnp.zeros(batch["valid"].shape, jnp.int32)
        return super().loss(outputs, {**batch, "labels": labels}, key)

    def proposals(self, outputs):
        """See `ActionFormer.proposals`; without labels."""
        return [found._replace(labels=None) for found in super().proposals(outputs)]


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


def assigned(
    points: Points,
    segments: Float[AnyArray, "M 2"],
    labels: Int[AnyArray, " M"],
    valid: Bool[AnyArray, " M"],
    classes: int,
    radius: float,
) -> tuple[Float[Array, "P classes"], Float[Array, "P 2"]]:
    """The targets of each point of one video (section 3.3).

    A point learns the shortest of the actions that contain it within `radius` strides of their
    centre and whose farther end is within its level's regression range. Equally short actions are
    learned together.

    Args:
        segments: in units where snippet i has its centre at i.

    Returns:
        The classes, 0 or 1, and the distances to start and end in strides of the point's level;
        undefined where no class is 1.
    """
    position, stride = points.position[:, None], points.stride[:, None]
    start, end = segments[:, 0], segments[:, 1]
    distances = jnp.stack([position - start, end - position], axis=-1)
    centre, around = (start + end) / 2, radius * stride
    inside = jnp.minimum(
        position - jnp.maximum(start, centre - around), jnp.minimum(end, centre + around) - position
    )
    farther = distances.max(axis=-1)
    in_range = (farther >= points.nearest[:, None]) & (farther <= points.farthest[:, None])
    length = jnp.where((inside > 0) & in_range & valid, end - start, jnp.inf)
    shortest = length.min(axis=1, keepdims=True)
    chosen = jnp.isfinite(length) & (length <= shortest + 1e-3)
    target = (chosen[..., None] * jax.nn.one_hot(labels, classes)).max(axis=1)
    nearest = length.argmin(axis=1)[:, None, None]
    return target, jnp.take_along_axis(distances, nearest, axis=1)[:, 0] / stride
