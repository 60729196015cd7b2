"""VideoMAE's vision transformer (arXiv 2203.12602; VideoMAE V2: arXiv 2303.16727) as an encoder of
windows, with the adapters of AdaTAD (arXiv 2311.17241).
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.models.encoders.tsm import MEAN, STD
from lofi_jax.models.encoders.video_transformer import VideoTransformer
from lofi_jax.models.layers import blocks, transformer
from lofi_jax.models.layers.attention import attention
from lofi_jax.models.layers.drop_path import Keys
from lofi_jax.models.layers.positions import resized, sinusoids

Tree = Any

_TUBE = 2  # frames of a token


class VideoMAE(VideoTransformer, kw_only=True):
    """Maps windows to one feature for every two frames: the mean of their tokens.

    Attention stays within a clip; the adapters, if any, mix time over the whole window.

    >>> encoder = VideoMAE(width=16, depth=2, heads=2, patch=8, clip=4, image=16, adapter="tia")
    >>> frames = np.zeros((1, 12, 16, 24, 3), np.uint8)
    >>> variables = jax.jit(encoder.init)(jax.random.key(0), frames)
    >>> jax.jit(encoder.apply)(variables, frames).shape
    (1, 6, 16)

    Attributes, besides those of `VideoTransformer`:
        width: channels of the tokens and features.
        depth: blocks.
        heads: of the attention; divides the width.
        hidden: channels within an MLP; 0: four times the width.
        image: pixels of the side that the positions are made for; those of other sizes are
            interpolated.
    """

    width: int
    depth: int
    heads: int
    hidden: int = 0
    image: int = 224

    @property
    def adaptable(self) -> int:
        return self.depth

    @nn.compact
    def __call__(
        self,
        frames: Real[AnyArray, "B F H W 3"],
        train: bool = False,
        chunk: int = 0,
        keys: Keys = None,
    ) -> Float[Array, "B n C"]:
        """Maps uint8 or float RGB frames in 0..255 to float32 features, n = F / 2.

        Args:
            keys: of the windows, in training.
        """
        size = (_TUBE, self.patch, self.patch)
        embedding = self.param(
            "patch_embed", lambda key: transformer.fresh_dense(key, (*size, 3), self.width)
        )
        backbone = self.param("blocks", blocks.stacked(self._fresh_block, self.depth))
        embedding, backbone = self.held((embedding, backbone))
        adapting = self.adapting(self.depth, self.width)
        patches = transformer.patches_of(frames, size)
        videos, times, rows, columns, _ = patches.shape
        positions = jnp.asarray(self._positions(rows, columns), self.dtype)

        flat = {**embedding, "kernel": embedding["kernel"].reshape(-1, self.width)}

        def embed(clips):
            return transformer.dense(flat, normalised(clips).astype(self.dtype)) + positions

        clips = patches.reshape(-1, *positions.shape[:1], patches.shape[-1])
        x = blocks.over_clips(embed, clips, chunk)
        grid = (videos, times, rows * columns)
        layers = blocks.Layers(backbone, adapting, self.factors(keys, frames.shape[1], self.depth))
        block = functools.partial(transformer.block, attend=self._attend)
        x = blocks.run(block, layers, x, grid, self.adapter, chunk, self.remat)
        return x.reshape(*grid, -1).astype(jnp.float32).mean(axis=2)

    def _fresh_block(self, key):
        width, (qkv, proj, mlp) = self.width, jax.random.split(key, 3)
        own = {
            "qkv": {"kernel": transformer.fresh_dense(qkv, width, 3 * width)["kernel"]},
            "q_bias": jnp.zeros(width),
            "v_bias": jnp.zeros(width),
            "proj": transformer.fresh_dense(proj, width, width),
        }
        return transformer.fresh_block(mlp, own, width, self.hidden or 4 * width)

    def _attend(self, own: Tree, x: Float[Array, "N tokens C"]) -> Float[Array, "N tokens C"]:
        biases = jnp.concatenate([own["q_bias"], jnp.zeros_like(own["q_bias"]), own["v_bias"]])
        qkv = transformer.dense({**own["qkv"], "bias": biases}, x)
        q, k, v = jnp.moveaxis(qkv.reshape(*x.shape[:2], 3, self.heads, -1), 2, 0)
        return transformer.dense(own["proj"], attention(q, k, v).reshape(x.shape))

    def _positions(self, rows: int, columns: int) -> Float[np.ndarray, "tokens C"]:
        times, side = self.clip // _TUBE, self.image // self.patch
        table = sinusoids(times * side**2, self.width).reshape(times, side, side, self.width)
        return resized(table, rows, columns).reshape(-1, self.width)


def normalised(patches: Real[Array, "... channels"]) -> Float[Array, "... channels"]:
    """RGB in 0..255, channels last within each patch, in units of ImageNet's deviation."""
    pixels = patches.shape[-1] // 3
    mean, std = np.tile(MEAN, pixels), np.tile(STD, pixels)
    return (patches / 255.0 - jnp.asarray(mean, jnp.float32)) / jnp.asarray(std, jnp.float32)
