"""G-TAD: sub-graph localization for temporal action detection (arXiv 1911.11462), with the folded
alignment.
"""

import functools
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lofi_jax.arrays import AnyArray
from lofi_jax.detection.proposals import Suppression
from lofi_jax.models.heads import proposal_map
from lofi_jax.models.heads.alignment import Sampling, anchors, graph_alignment
from lofi_jax.models.heads.proposal_map import Rules
from lofi_jax.models.layers.grouped_convolution import GroupedConv

# Of the code that G-TAD's authors published for each dataset (github.com/frostinassiky/gtad, the
# branches anet and master): for ActivityNet the boundaries choose the proposals but the maps alone
# score them; for THUMOS14 every anchor is one, the weights of the map's terms change places, and
# the counts of the classification begin at 10.
RULES = {
    "activitynet": Rules(0.5, 1.0, 10.0, 0.0, select=True, weigh=False),
    "thumos14": Rules(0.0, 10.0, 1.0, 10.0, select=False, weigh=False),
}


def neighbours(x: Float[AnyArray, "B L C"], k: int) -> Int[Array, "B L k"]:
    """The k snippets nearest to each in feature space, itself among them; compared in float32."""
    x = x.astype(jnp.float32)
    squared = jnp.sum(jnp.square(x), axis=-1)
    products = jnp.einsum("bic,bjc->bij", x, x)
    distance = squared[:, :, None] + squared[:, None, :] - 2 * products
    return jax.lax.top_k(-jax.lax.stop_gradient(distance), k)[1]


def gather(x: Float[AnyArray, "B L C"], index: Int[AnyArray, "B L k"]) -> Float[Array, "B L k C"]:
    """The features of the given snippets."""
    return jax.vmap(lambda features, i: features[i])(x, index)


class GCNeXt(nn.Module):
    """A graph convolution block with a temporal and a semantic stream beside the identity (section
    3.2).

    Attributes:
        width: channels between the 1 x 1 layers, `groups` times the width of one group.
        groups: cardinality of the grouped layers.
        k: semantic neighbours, the snippet itself included.
    """

    width: int = 128
    groups: int = 32
    k: int = 3

    @nn.compact
    def __call__(self, x: Float[AnyArray, "B L C"]) -> Float[Array, "B L C"]:
        channels = x.shape[-1]
        t = nn.relu(nn.Dense(self.width, name="temporal1")(x))
        t = GroupedConv(self.width, (3,), self.groups, name="temporal2")(t)
        t = nn.Dense(channels, name="temporal3")(nn.relu(t))

        near = gather(x, neighbours(x, min(self.k, x.shape[1])))
        pair = jnp.concatenate([near, jnp.broadcast_to(x[:, :, None], near.shape)], axis=-1)
        s = nn.relu(nn.Dense(self.width, name="semantic1")(pair))
        s = GroupedConv(self.width, (1, 1), self.groups, name="semantic2")(s)
        s = nn.Dense(channels, name="semantic3")(nn.relu(s))
        return nn.relu(x + t + s.max(axis=2))


@functools.lru_cache(maxsize=8)
def alignments(
    snippets: int, max_duration: int | None, bins: tuple[int, ...], empty_cell: bool
) -> tuple[Sampling, ...]:
    """SGAlign of every anchor extended by half its length on both sides, for each number of bins
    (section 3.3).

    An anchor [s, e) is sampled from s - length / 2 to (e - 1) + length / 2. The empty cell of the
    map, where wanted, is sampled from 0 to 1, as G-TAD's own code does.
    """
    start, end = anchors(snippets, max_duration).T.astype(np.float64)
    low, high = start - (end - start) / 2, end - 1 + (end - start) / 2
    if empty_cell:
        low, high = np.append(low, 0.0), np.append(high, 0.0)
    return tuple(graph_alignment(snippets, n, low, high) for n in bins)


class GTAD(nn.Module):
    """The head. Defaults are the paper's ActivityNet settings.

    >>> head = GTAD(channels=16, widths=(16, 16), bins=(4, 2), groups=4)
    >>> features = np.zeros((1, 8, 32), np.float32)
    >>> params = jax.jit(head.init)(jax.random.key(0), features)
    >>> outputs = jax.device_get(jax.jit(head.apply)(params, features))
    >>> [found.segments.shape for found in head.proposals(outputs)]
    [(28, 2)]

    Its THUMOS14 settings are max_duration=64, bins=(16, 16), map_kernel=3, rules="thumos14" and
    longest=59, at 256 snippets.

    Attributes:
        channels: of the 1D features.
        widths: of the four layers on each anchor's aligned features.
        bins: sampled inside the anchor, and for its context of semantic neighbours.
        groups, group_width: of the GCNeXt blocks; the first convolution has 4 groups.
        k: semantic neighbours.
        max_duration: of an anchor, in snippets; none: the video's.
        map_kernel: 3: the last two of the layers are 3 x 3 convolutions over the map (duration,
            start); 1: they see one anchor each.
        rules: of the loss and of the proposals, one of `RULES`.
        longest: proposal, in snippets; none: as long as an anchor may be.
    """

    classifies: ClassVar[bool] = False
    suppression: ClassVar[Suppression] = Suppression("gaussian", 0.84, 0.5, 0.0, 100)

    channels: int = 256
    widths: tuple[int, ...] = (512, 128, 128, 128)
    bins: tuple[int, int] = (32, 4)
    groups: int = 32
    group_width: int = 4
    k: int = 3
    max_duration: int | None = None
    map_kernel: int = 1
    rules: str = "activitynet"
    longest: int | None = None

    def __post_init__(self):
        """Raises TypeError: unknown rules."""
        if self.rules not in RULES:
            raise TypeError(f"rules {self.rules!r} are none of {', '.join(RULES)}")
        super().__post_init__()

    @nn.compact
    def __call__(self, features: Float[AnyArray, "B L D"]) -> dict[str, Array]:
        """Returns logits: "start" and "end" (B, L), "regression" and "classification" (B,
        anchors).
        """

        def block(name):
            return GCNeXt(self.groups * self.group_width, self.groups, self.k, name=name)

        def branch(x, name):
            return nn.Dense(1, name=f"{name}_out")(block(f"{name}_gcn")(x))[..., 0]

        x = GroupedConv(self.channels, (3,), 4, name="base")(features)
        x = block("base_gcn")(nn.relu(x))
        outputs = {name: branch(x, name) for name in ("start", "end")}

        x = block("proposal_gcn")(x)
        context = gather(x, neighbours(x, min(self.k, x.shape[1]))).mean(axis=2)
        snippets = x.shape[1]
        cells = self._map(snippets) if self.map_kernel > 1 else None
        samplings = alignments(snippets, self.max_duration, self.bins, cells is not None)
        sampled = list(zip((x, context), samplings, strict=True))
        return outputs | proposal_map.confidences(sampled, self.widths, cells)

    def _map(self, snippets: int) -> proposal_map.Map:
        """Each anchor's cell: its duration less one, and its start."""
        pairs = anchors(snippets, self.max_duration)
        rows = pairs[:, 1] - pairs[:, 0] - 1
        return proposal_map.Map(rows, pairs[:, 0], (int(rows.max()) + 1, snippets))

    def loss(self, outputs, batch, key):
        """See `proposal_map.loss`."""
        return proposal_map.loss(outputs, batch, key, self._anchors(outputs), RULES[self.rules])

    def fixed_proposals(self, snippets: int) -> tuple[np.ndarray, proposal_map.Rules] | None:
        """The anchors (N, 2) int, in snippets, that the proposals are chosen from, and how; None
        where some outputs are of longer ones.
        """
        if self.longest is not None:
            return None
        return anchors(snippets, self.max_duration), RULES[self.rules]

    def proposals(self, outputs):
        """See `proposal_map.proposals`."""
        pairs, maps = self._anchors(outputs), dict(outputs)
        if self.longest is not None:
            short = pairs[:, 1] - pairs[:, 0] <= self.longest
            pairs = pairs[short]
            maps |= {name: maps[name][:, short] for name in ("regression", "classification")}
        return proposal_map.proposals(maps, pairs, RULES[self.rules])

    def _anchors(self, outputs) -> np.ndarray:
        return anchors(outputs["start"].shape[1], self.max_duration)
