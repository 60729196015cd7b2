"""ActionFormer: a multi-scale local-attention transformer in which every moment is a candidate (arXiv 2202.07925).

Features go through convolutions and transformer blocks with attention in a window; further blocks halve the length one
after the other. On each level of this pyramid the same two towers of convolutions say of every point which actions it
lies in, and how far away their start and end are. There is no padding: a level has half as many points as the one
before, rounded up, whatever the number of snippets. The drop-out of the authors' code is left out, so that the head is
a pure function; its normaliser, a running mean of the number of positives, is the batch's own number here.
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
from lofi_jax.detection.proposals import Proposals

# Of the authors' inference: weaker and shorter (in snippets) candidates are dropped, and all but the strongest.
MIN_SCORE = 0.001
MIN_DURATION = 0.05
MOST_CANDIDATES = 2000


class Points(NamedTuple):
    """The candidates of a video of L snippets, on all levels of the pyramid.

    Attributes:
        position: (P,) in units where snippet i has its centre at i.
        stride: (P,) snippets between two points of its level.
        nearest, farthest: (P,) in snippets, how far away the farther end of the actions that it learns lies.
    """

    position: np.ndarray
    stride: np.ndarray
    nearest: np.ndarray
    farthest: np.ndarray


def pyramid_points(snippets: int, levels: int, reach: float) -> Points:
    """The points of all levels, the finest first.

    Args:
        reach: in snippets; the first level learns actions up to there, each further one up to twice as far as the one
            before, the last one any.
    """
    rows = []
    for level in range(levels):
        position = np.arange(0.0, snippets, 2**level)
        nearest = reach * 2 ** (level - 1) if level else 0.0
        farthest = reach * 2**level if level < levels - 1 else np.inf
        numbers = np.array([2.0**level, nearest, farthest])[:, None]
        rows.append(np.vstack([position, np.broadcast_to(numbers, (3, len(position)))]))
    return Points(*np.concatenate(rows, axis=1).astype(np.float32))


def _norm(name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-5, name=name)


class LocalAttention(nn.Module):
    """Multi-head self-attention in a window, over inputs that depthwise convolutions mix, and perhaps shorten, first.

    Attributes:
        heads: of the attention.
        window: snippets that each sees, itself in the middle.
        stride: 2 halves the length.
    """

    heads: int
    window: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B t C"]:
        channels = x.shape[-1]

        def projected(name):
            y = nn.Conv(
                channels,
                (3,),
                self.stride,
                padding=1,
                feature_group_count=channels,
                use_bias=False,
                name=f"{name}_conv",
            )(x)
            y = nn.Dense(channels, name=name)(_norm(f"{name}_norm")(y))
            return y.reshape(*y.shape[:2], self.heads, -1)

        query, key, value = (projected(name) for name in ("query", "key", "value"))
        y = jax.nn.dot_product_attention(query, key, value, local_window_size=self.window // 2)
        return nn.Dense(channels, name="out")(y.reshape(*y.shape[:2], channels))


class Block(nn.Module):
    """A pre-norm transformer block; each branch begins at a ten-thousandth of its output."""

    heads: int
    window: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B t C"]:
        channels = x.shape[-1]

        def scale(name):
            return self.param(name, nn.initializers.constant(1e-4), (channels,), jnp.float32)

        attention = LocalAttention(self.heads, self.window, self.stride, name="attention")
        y = attention(_norm("attention_norm")(x))
        if self.stride > 1:
            x = nn.max_pool(x, (3,), (self.stride,), padding=((1, 1),))  # type: ignore  # Flax takes pairs
        x = x + scale("attention_scale") * y
        y = nn.Dense(4 * channels, name="hidden")(_norm("mlp_norm")(x))
        y = nn.Dense(channels, name="mlp_out")(nn.gelu(y, approximate=False))
        return x + scale("mlp_scale") * y


class Tower(nn.Module):
    """Convolutions that all levels share: two with normalisation and a last one to the output."""

    channels: int
    outputs: int
    initial_bias: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T {self.outputs}"]:
        for i in (1, 2):
            x = nn.Conv(self.channels, (3,), padding=1, use_bias=False, name=f"conv{i}")(x)
            x = nn.relu(_norm(f"norm{i}")(x))
        bias = nn.initializers.constant(self.initial_bias)
        return nn.Conv(self.outputs, (3,), padding=1, bias_init=bias, name="out")(x)


class ActionFormer(nn.Module):
    """The head, which classifies by itself. Defaults are the paper's THUMOS14 settings.

    Attributes:
        classes: C.
        channels: of all layers.
        heads, window: of the attention; the window is in points of the level.
        stem: blocks before the pyramid.
        levels: of the pyramid.
        reach: see `pyramid_points`.
        radius: how far from an action's centre a point may lie to learn it, in strides of its level.
        prior: probability of every class before training.
    """

    classifies: ClassVar[bool] = True

    classes: int
    channels: int = 512
    heads: int = 4
    window: int = 19
    stem: int = 2
    levels: int = 6
    reach: float = 4.0
    radius: float = 1.5
    prior: float = 0.01

    @nn.compact
    def __call__(self, features: Float[AnyArray, "B L D"]) -> dict[str, list[Array]]:
        """Returns, for each level, "classification" logits (B, T, C) and "distances" (B, T, 2) to start and end.

        The distances are in strides of the level, at least 0.
        """
        x = features
        for i in (1, 2):
            x = nn.Conv(self.channels, (3,), padding=1, use_bias=False, name=f"embed{i}")(x)
            x = nn.relu(_norm(f"embed_norm{i}")(x))
        for i in range(self.stem):
            x = Block(self.heads, self.window, name=f"stem{i}")(x)
        pyramid = [x]
        for i in range(1, self.levels):
            pyramid.append(Block(self.heads, self.window, 2, name=f"level{i}")(pyramid[-1]))

        logit = math.log(self.prior / (1 - self.prior))
        classify = Tower(self.channels, self.classes, logit, name="classification")
        regress = Tower(self.channels, 2, name="regression")
        outputs = {"classification": [], "distances": []}
        for i, x in enumerate(pyramid):
            x = _norm(f"level_norm{i}")(x)
            scale = self.param(f"distance_scale{i}", nn.initializers.ones, (), jnp.float32)
            outputs["classification"].append(classify(x))
            outputs["distances"].append(nn.relu(scale * regress(x)))
        return outputs

    def loss(
        self, outputs: Mapping[str, Sequence[AnyArray]], batch: Mapping[str, AnyArray], key=None
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Focal loss of all classes and DIoU loss of the positives' distances, over the positives' number; in float32.

        Args:
            outputs: of the head.
            batch: "segments" (B, M, 2) float in units of the video, "labels" (B, M) int and "valid" (B, M) bool.
            key: not needed: nothing is drawn.
        """
        points = self._points(outputs)
        snippets = outputs["classification"][0].shape[1]
        logits, distances = (
            jnp.concatenate(outputs[name], axis=1).astype(jnp.float32)
            for name in ("classification", "distances")
        )
        assign = jax.vmap(
            lambda s, c, v: assigned(points, s * snippets - 0.5, c, v, self.classes, self.radius)
        )
        classes, wanted = assign(batch["segments"], batch["labels"], batch["valid"])
        positive = classes.max(axis=-1) > 0
        number = jnp.maximum(positive.sum(), 1)
        # A point without an action has no distances; any finite ones do.
        wanted = jnp.where(positive[..., None], wanted, 1.0)
        terms = {
            "classification": losses.focal(logits, classes).sum() / number,
            "regression": (losses.diou(distances, wanted) * positive).sum() / number,
        }
        return sum(terms.values(), jnp.float32(0)), terms

    def proposals(
        self, outputs: Mapping[str, Sequence[np.ndarray]], use_boundaries: bool = True
    ) -> list[Proposals]:
        """Every video's proposals, one for each likely class of each point.

        Args:
            outputs: of the head, as NumPy arrays.
            use_boundaries: not needed: there are no probabilities of start and end.
        """
        points = self._points(outputs)
        snippets = outputs["classification"][0].shape[1]
        logits, distances = (
            np.concatenate(outputs[name], axis=1).astype(np.float64)
            for name in ("classification", "distances")
        )
        ends = points.position[:, None] + distances * points.stride[:, None] * [-1, 1]
        scores = 1 / (1 + np.exp(-logits))
        found = []
        for segments, score in zip((ends + 0.5) / snippets, scores, strict=True):
            segments = segments.clip(0, 1)
            long_enough = np.diff(segments)[:, 0] * snippets > MIN_DURATION
            point, label = np.nonzero((score > MIN_SCORE) & long_enough[:, None])
            best = np.argsort(-score[point, label], kind="stable")[:MOST_CANDIDATES]
            point, label = point[best], label[best]
            found.append(Proposals(segments[point], score[point, label], label))
        return found

    def _points(self, outputs) -> Points:
        return pyramid_points(outputs["classification"][0].shape[1], self.levels, self.reach)


def assigned(
    points: Points,
    segments: Float[AnyArray, "M 2"],
    labels: Int[AnyArray, " M"],
    valid: Bool[AnyArray, " M"],
    classes: int,
    radius: float,
) -> tuple[Float[Array, "P classes"], Float[Array, "P 2"]]:
    """What each point of one video has to say (section 3.3).

    A point learns the shortest of the actions in which it lies, not farther than `radius` strides from the centre, and
    whose farther end is within its level's range. Actions that are equally short are learned together.

    Args:
        segments: in units where snippet i has its centre at i.

    Returns:
        The classes, 0 or 1, and the distances to start and end in strides of the point's level, which mean nothing
        where no class is 1.
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
