"""What video transformers have in common as encoders of windows."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lofi_jax.models.layers import adapters, blocks, drop_path
from lofi_jax.models.layers.drop_path import Keys

Tree = Any


class VideoTransformer(nn.Module):
    """The settings that all of them have, and what follows from these.

    Attributes:
        clip, patch, adapter, backbone: see `protocols.WindowEncoder`.
        adapted: blocks with an adapter, the last ones; 0: all of them, or with an adapter beside
            the backbone the upper half. AdaTAD's best results have 20 of VideoMAE V2-g's 40.
        adapter_ratio: the tokens' channels to those of the adapter's bottleneck.
        drop_path: in training, the probability that a clip's residual branch is left out in the
            last block, in 0..1; from the first block's 0 it rises linearly. Frozen blocks leave
            branches out too, adapters none (arXiv 2311.17241's public code has 0.1).
        dtype: of the computation; norms and their statistics are float32.
        remat: keep only each block's input for the backward pass.
    """

    clip: int = 16
    patch: int = 16
    adapter: str = "none"
    adapted: int = 0
    adapter_ratio: int = 4
    backbone: str = "trained"
    drop_path: float = 0.0
    dtype: Any = jnp.float32
    remat: bool = False

    def __post_init__(self):
        """Raises TypeError: a rate of dropping that is not in [0, 1), more adapters than blocks
        may have, or an adapter without channels.
        """
        if not 0 <= self.drop_path < 1:
            raise TypeError(f"drop_path is {self.drop_path}: it must be in [0, 1)")
        if not 0 <= self.adapted <= self.adaptable:
            raise TypeError(f"adapted is {self.adapted}: it must be in [0, {self.adaptable}]")
        if not 1 <= self.adapter_ratio <= self.width:
            raise TypeError(
                f"adapter_ratio is {self.adapter_ratio}: it must be in [1, {self.width}]"
            )
        super().__post_init__()

    @property
    def adaptable(self) -> int:
        """Blocks that may have an adapter."""
        raise NotImplementedError

    @property
    def stochastic(self) -> bool:
        """Whether a call in training takes the windows' keys; see drop_path.py."""
        return self.drop_path > 0

    def held(self, backbone: Tree) -> Tree:
        """The backbone's parameters, without a gradient if it is frozen."""
        return jax.lax.stop_gradient(backbone) if self.backbone == "frozen" else backbone

    def adapting(self, depth: int, width: int) -> Tree | None:
        """The adapters' parameters of blocks of one stack, if there are adapters."""
        if self.adapter == "none":
            return None
        number = self.adapted or (depth if self.adapter == "tia" else depth // 2)
        return self.param("adapters", self.fresh_adapters(number, width))

    def fresh_adapters(self, number: int, width: int):
        """A function (key) -> stacked parameters of so many adapters."""
        make = functools.partial(adapters.make, width=width, ratio=self.adapter_ratio)
        return blocks.stacked(make, number)

    def factors(
        self, keys: Keys, frames: int, depth: int
    ) -> Float[Array, "depth N branches"] | None:
        """Of the branches of all clips; see `drop_path.factors`.

        Args:
            frames: of a window.
        """
        return drop_path.factors(self.drop_path, keys, frames // self.clip, depth)
