"""Heads for which every moment is a candidate: a pyramid of moments, what each learns, and the
proposals made of them.

Features pass through two convolutions and some blocks; further blocks each halve the length. On
every level of this pyramid convolutional towers predict, for each point, the classes of the actions
it lies in and the distances to their start and end. A level has half as many points as the one
before, rounded up, whatever the number of snippets. ActionFormer (arXiv 2202.07925) brought this
form; TriDet (arXiv 2303.07347) has other blocks and other distances. Their authors normalise the
loss by a running mean of the number of positives; here it is by the batch's own number.
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
from lofi_jax.models.layers.drop_path import Keys, of_layer
from lofi_jax.models.layers.local_transformer import Tower, masked, norm, positions

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


class PointHead(nn.Module):
    """What such heads share; see `ActionFormer` and `TriDet`, which add blocks and distances.

    Attributes:
        classes: C.
        channels: of all layers.
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
        iou_power: the classification loss of a positive is multiplied by the tIoU of its distances
            to this power; 0: it is not.
        candidates: per level, the best ones kept before suppression.
        shortest: candidate length, in snippets.
        drop_path: in training, probability that a video's residual branch is left out.
        input_dropout: in training, probability that a channel of a video's features is zero.
        input_noise: in training, deviation of Gaussian noise added to the features.
    """

    classifies: ClassVar[bool] = True
    suppression: ClassVar[Suppression] = Suppression(
        "gaussian", 0.5, 0.5, 0.0, 100, min_score=MIN_SCORE
    )

    classes: int
    channels: int = 512
    stem: int = 2
    levels: int = 6
    regression_range: float = 4.0
    center_sample_radius: float = 1.5
    prior: float = 0.01
    positions: int = 0
    padded: int = 0
    label_smoothing: float = 0.0
    regression_weight: float = 1.0
    iou_power: float = 0.0
    candidates: int = 2000
    shortest: float = 0.05
    drop_path: float = 0.0
    input_dropout: float = 0.0
    input_noise: float = 0.0

    def __post_init__(self):
        """Raises TypeError: a rate of dropping that is not in [0, 1)."""
        for name in ("drop_path", "input_dropout"):
            if not 0 <= (rate := getattr(self, name)) < 1:
                raise TypeError(f"{name} is {rate}: it must be in [0, 1)")
        super().__post_init__()

    @property
    def stochastic(self) -> bool:
        """Whether a call in training takes the videos' keys; see drop_path.py."""
        return max(self.drop_path, self.input_dropout, self.input_noise) > 0

    @nn.compact
    def __call__(
        self, features: Float[AnyArray, "B L D"], keys: Keys = None
    ) -> dict[str, list[Array]]:
        """Returns, for each level, "classification" logits (B, T, C) and "distances" to start and
        end, (B, T, 2), or (B, T, C, 2) where each class has its own.

        The distances are in strides of the level, at least 0.

        Args:
            keys: of the videos, in training.
        """
        snippets = features.shape[1]
        length, full = self.padded_lengths(snippets)
        real = [
            np.arange(-(-length // 2**i)) * 2**i < snippets if self.padded else None
            for i in range(self.levels)
        ]
        x = self._disturbed(features, keys)
        x = jnp.pad(x, ((0, 0), (0, length - snippets), (0, 0)))
        for i in (1, 2):
            x = nn.Conv(self.channels, (3,), padding=1, use_bias=False, name=f"embed{i}")(x)
            x = nn.relu(norm(f"embed_norm{i}")(masked(x, real[0])))
        if self.positions:
            table = positions(full, self.positions, self.channels)[:length]
            x = x + masked(jnp.asarray(table, x.dtype)[None], real[0])
        for i in range(self.stem):
            x = self.stem_block(i)(x, real[0], of_layer(keys, i))
        pyramid = [x]
        for i in range(1, self.levels):
            block = self.level_block(i)
            pyramid.append(block(pyramid[-1], real[i], of_layer(keys, self.stem + i)))
        pyramid = [norm(f"level_norm{i}")(x) for i, x in enumerate(pyramid)]
        points = [-(-snippets // 2**i) for i in range(self.levels)]
        return self.towers(pyramid, real, points)

    def _disturbed(self, features: Float[AnyArray, "B L D"], keys: Keys):
        """The features of training: channels left out, noise added."""
        if keys is None:
            return features

        def one(x, key):
            of_channels, of_noise = jax.random.split(key)
            kept = jax.random.uniform(of_channels, x.shape[1:]) >= self.input_dropout
            x = jnp.where(kept, x / (1 - self.input_dropout), 0)
            return x + self.input_noise * jax.random.normal(of_noise, x.shape, x.dtype)

        return jax.vmap(one)(features, of_layer(keys, self.stem + self.levels))

    def padded_lengths(self, snippets: int) -> tuple[int, int]:
        """The padded length of a video here, and in the public network."""
        raise NotImplementedError

    def stem_block(self, i: int) -> nn.Module:
        """Block i of the stem."""
        raise NotImplementedError

    def level_block(self, i: int) -> nn.Module:
        """The block that makes level i of the one before."""
        raise NotImplementedError

    def towers(
        self, pyramid: Sequence[Array], real: Sequence[np.ndarray | None], points: Sequence[int]
    ) -> dict[str, list[Array]]:
        """The outputs of `__call__`, of the given number of points on each level."""
        raise NotImplementedError

    def classification_tower(
        self, name: str = "classification", channels: int = 0, kernel: int = 3
    ) -> Tower:
        """A tower of logits of every class."""
        logit = math.log(self.prior / (1 - self.prior))
        return Tower(channels or self.channels, self.classes, logit, kernel, name=name)

    def distance_scale(self, i: int) -> Array:
        """The learned factor of level i's distances."""
        return self.param(f"distance_scale{i}", nn.initializers.ones, (), jnp.float32)

    def loss(
        self, outputs: Mapping[str, Sequence[AnyArray]], batch: Mapping[str, AnyArray], key=None
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Focal loss of all classes and DIoU loss of the positives' distances, over the positives'
        number; in float32.

        Where each class has its own distances, a positive has those of the classes it learns.

        Args:
            outputs: of the head.
            batch: "segments" (B, M, 2) float in units of the video, "labels" (B, M) int and "valid"
                (B, M) bool.
            key: unused.
        """
        if not self.classifies:
            batch = {**batch, "labels": jnp.zeros(batch["valid"].shape, jnp.int32)}
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
        learns = positive
        if distances.ndim == 4:
            wanted, learns = wanted[:, :, None], classes > 0
        labels = classes * (1 - self.label_smoothing) + self.label_smoothing / (self.classes + 1)
        classification = losses.focal(logits, labels)
        if self.iou_power:
            tiou = losses.distance_tiou(distances, wanted)
            # Finite, with a finite gradient, where there is no overlap.
            right = jnp.maximum(tiou, 1e-6) ** self.iou_power
            right = right if right.ndim == 3 else right[..., None]
            classification = jnp.where(classes > 0, right, 1.0) * classification
        regression = (losses.diou(distances, wanted) * learns).sum() / number
        terms = {
            "classification": classification.sum() / number,
            "regression": self.regression_weight * regression,
        }
        return sum(terms.values(), jnp.float32(0)), terms

    def proposals(self, outputs: Mapping[str, Sequence[np.ndarray]]) -> list[Proposals]:
        """Every video's proposals, one per likely class of each point; they may extend beyond the
        video. Those of a head that does not classify have no labels.

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
                distances = outputs["distances"][level][video]
                distances = distances[point, label] if distances.ndim == 3 else distances[point]
                distances = np.asarray(distances, np.float64)
                place = first[level] + point
                ends = distances * points.stride[place, None] * [-1, 1]
                ends += points.position[place, None]
                long = ends[:, 1] - ends[:, 0] > self.shortest
                parts.append((ends[long], score[point, label][long], label[long]))
            ends, scores, labels = (np.concatenate(x) for x in zip(*parts, strict=True))
            named = labels if self.classifies else None
            found.append(Proposals((ends + 0.5) / snippets, scores, named))
        return found

    def _points(self, outputs) -> Points:
        return pyramid_points(
            outputs["classification"][0].shape[1], self.levels, self.regression_range
        )


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
