"""BMN: the boundary-matching network (arXiv 1907.09702), with the folded boundary-matching layer."""

import functools
from typing import ClassVar

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

from lofi_jax.arrays import AnyArray
from lofi_jax.models import proposal_map
from lofi_jax.models.alignment import Sampling, anchors, boundary_matching


@functools.lru_cache(maxsize=8)
def alignment(snippets: int, layout: str, bins: int, samples: int) -> Sampling:
    """Boundary matching of every anchor extended by half its length on both sides (section 3.3), and of an empty cell.

    Both layouts are those of public weights. An anchor [s, e) counts as s to e in "start_end" and as s to e - 1 in
    "duration_start", and as one snippet longer than that in both. In the empty cell all samples are zero.
    """
    start, end = anchors(snippets).T.astype(np.float64)
    last = end if layout == "start_end" else end - 1
    extension = (last - start + 1) / 2
    outside = -2.0
    low, high = np.append(start - extension, outside), np.append(last + extension, outside)
    return boundary_matching(snippets, bins, samples, low, high)


class BMN(nn.Module):
    """The head. Defaults are the paper's ActivityNet settings.

    Attributes:
        channels: of the 1D features.
        widths: of the layer on each anchor's aligned features, the 1 x 1 convolution and the two 3 x 3 ones.
        bins: of an anchor, each averaging `samples`.
        layout: of the map and of the samples, "start_end" as in the common PyTorch port, or "duration_start" as in the
            paper, its authors' code and mmaction2.
    """

    classifies: ClassVar[bool] = False

    channels: int = 256
    widths: tuple[int, ...] = (512, 128, 128, 128)
    bins: int = 32
    samples: int = 3
    layout: str = "start_end"

    @nn.compact
    def __call__(self, features: Float[AnyArray, "B L D"]) -> dict[str, Array]:
        """Returns logits: "start" and "end" (B, L), "regression" and "classification" (B, anchors)."""

        def conv(x, name, groups=4):
            layer = nn.Conv(self.channels, (3,), padding=1, feature_group_count=groups, name=name)
            return nn.relu(layer(x))

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
        """Each anchor's cell: its start and its last snippet, or its duration less one and its start."""
        start, end = anchors(snippets).T
        cells = {"start_end": (start, end - 1), "duration_start": (end - start - 1, start)}
        if self.layout not in cells:
            raise TypeError(f"layout {self.layout!r} is none of {', '.join(cells)}")
        return proposal_map.Map(*cells[self.layout], (snippets, snippets))

    def loss(self, outputs, batch, key):
        """See `proposal_map.loss`."""
        return proposal_map.loss(outputs, batch, key, anchors(outputs["start"].shape[1]))

    def proposals(self, outputs, use_boundaries: bool = True):
        """See `proposal_map.proposals`."""
        return proposal_map.proposals(outputs, anchors(outputs["start"].shape[1]), use_boundaries)
