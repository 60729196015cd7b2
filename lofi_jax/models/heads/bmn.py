"""BMN: the boundary-matching network (arXiv 1907.09702), with the folded boundary-matching
layer.
"""

import functools
from typing import ClassVar

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

from lofi_jax.arrays import AnyArray
from lofi_jax.detection.proposals import Suppression
from lofi_jax.models.heads import proposal_map
from lofi_jax.models.heads.alignment import Sampling, anchors, boundary_matching
from lofi_jax.models.heads.proposal_map import Rules
from lofi_jax.models.layers.grouped_convolution import GroupedConv

# Of the code that has each layout: the port takes snippet i to lie at i when it labels boundaries,
# and every anchor for a proposal; mmaction2 takes it to lie at i + 0.5, and lets the boundaries
# choose the proposals.
RULES = {
    "start_end": Rules(0.0, 1.0, 10.0, 0.0, select=False, weigh=True),
    "duration_start": Rules(0.5, 1.0, 10.0, 0.0, select=True, weigh=True),
}


@functools.lru_cache(maxsize=8)
def alignment(snippets: int, layout: str, bins: int, samples: int) -> Sampling:
    """Boundary matching of every anchor extended by half its length on both sides (section 3.3),
    and of an empty cell.

    Both layouts are those of public weights. An anchor [s, e) counts as s to e in "start_end" and
    as s to e - 1 in "duration_start", and as one snippet longer than that in both. In the empty
    cell all samples are zero.
    """
    start, end = anchors(snippets).T.astype(np.float64)
    last = end if layout == "start_end" else end - 1
    extension = (last - start + 1) / 2
    outside = -2.0
    low, high = np.append(start - extension, outside), np.append(last + extension, outside)
    return boundary_matching(snippets, bins, samples, low, high)


class BMN(nn.Module):
    """The head. Defaults are the paper's ActivityNet settings.

    >>> head = BMN(channels=16, widths=(16, 16), bins=4)
    >>> features = np.zeros((1, 8, 32), np.float32)
    >>> params = jax.jit(head.init)(jax.random.key(0), features)
    >>> outputs = jax.device_get(jax.jit(head.apply)(params, features))
    >>> [found.segments.shape for found in head.proposals(outputs)]
    [(28, 2)]

    Attributes:
        channels: of the 1D features.
        widths: of the layer on each anchor's aligned features, the 1 x 1 convolution and the two 3
            x 3 ones.
        bins: of an anchor, each averaging `samples`.
        layout: of the map and of the samples, "start_end" as in the common PyTorch port, or
            "duration_start" as in the paper, its authors' code and mmaction2; and whose `RULES` to
            follow.
    """

    classifies: ClassVar[bool] = False
    suppression: ClassVar[Suppression] = Suppression(
        "gaussian", 0.4, 0.5, 0.0, 100, floor=(0.5, 0.9)
    )

    channels: int = 256
    widths: tuple[int, ...] = (512, 128, 128, 128)
    bins: int = 32
    samples: int = 3
    layout: str = "start_end"

    @nn.compact
    def __call__(self, features: Float[AnyArray, "B L D"]) -> dict[str, Array]:
        """Returns logits: "start" and "end" (B, L), "regression" and "classification" (B,
        anchors).
        """

        def conv(x, name, groups=4):
            return nn.relu(GroupedConv(self.channels, (3,), groups, name=name)(x))

        x = conv(conv(features, "base1"), "base2")
        outputs = {
            name: nn.Dense(1, name=f"{name}_out")(conv(x, f"{name}_conv"))[..., 0]
            for name in ("start", "end")
        }
        x = conv(x, "proposal_conv", groups=1)
        snippets = x.shape[1]
        sampling = alignment(snippets, self.layout, self.bins, self.samples)
        maps = proposal_map.confidences([(x, sampling)], self.widths, self._map(snippets))
        return outputs | maps

    def _map(self, snippets: int) -> proposal_map.Map:
        """Each anchor's cell: its start and its last snippet, or its duration less one and its
        start.
        """
        start, end = anchors(snippets).T
        cells = {"start_end": (start, end - 1), "duration_start": (end - start - 1, start)}
        if self.layout not in cells:
            raise TypeError(f"layout {self.layout!r} is none of {', '.join(cells)}")
        return proposal_map.Map(*cells[self.layout], (snippets, snippets))

    def loss(self, outputs, batch, key):
        """See `proposal_map.loss`."""
        pairs = anchors(outputs["start"].shape[1])
        return proposal_map.loss(outputs, batch, key, pairs, RULES[self.layout])

    def fixed_proposals(self, snippets: int) -> tuple[np.ndarray, proposal_map.Rules]:
        """The anchors (N, 2) int, in snippets, that the proposals are chosen from, and how."""
        return anchors(snippets), RULES[self.layout]

    def proposals(self, outputs):
        """See `proposal_map.proposals`."""
        pairs = anchors(outputs["start"].shape[1])
        return proposal_map.proposals(outputs, pairs, RULES[self.layout])
