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
from lofi_jax.models import adapters, blocks
from lofi_jax.models.attention import attention
from lofi_jax.models.positions import resized, sinusoids
from lofi_jax.models.tsm import MEAN, STD

Tree = Any

_TUBE = 2  # frames of a token
_EPSILON = 1e-6


class VideoMAE(nn.Module):
    """Maps windows to one feature for every two frames: the mean of their tokens.

    Attention stays within a clip; the adapters, if any, mix time over the whole window.

    >>> encoder = VideoMAE(width=16, depth=2, heads=2, patch=8, clip=4, image=16, adapter="tia")
    >>> frames = np.zeros((1, 12, 16, 24, 3), np.uint8)
    >>> variables = jax.jit(encoder.init)(jax.random.key(0), frames)
    >>> jax.jit(encoder.apply)(variables, frames).shape
    (1, 6, 16)

    Attributes:
        width: channels of the tokens and features.
        depth: blocks.
        heads: of the attention; divides the width.
        hidden: channels within an MLP; 0: four times the width.
        image: pixels of the side that the positions are made for; those of other sizes are
            interpolated.
        clip, patch, adapter, backbone: see `protocols.WindowEncoder`. Adapters beside the backbone
            take the outputs of its upper half.
        dtype: of the computation; norms and their statistics are float32.
        remat: keep only each block's input for the backward pass.
    """

    width: int
    depth: int
    heads: int
    hidden: int = 0
    image: int = 224
    clip: int = 16
    patch: int = 16
    adapter: str = "none"
    backbone: str = "trained"
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, frames: Real[AnyArray, "B F H W 3"], train: bool = False, chunk: int = 0
    ) -> Float[Array, "B n C"]:
        """Maps uint8 or float RGB frames in 0..255 to float32 features, n = F / 2."""
        size = (_TUBE, self.patch, self.patch)
        embedding = self.param("patch_embed", lambda key: _dense_of(key, (*size, 3), self.width))
        backbone = self.param("blocks", blocks.stacked(self._make_block, self.depth))
        adapting = None
        if self.adapter != "none":
            layers = self.depth if self.adapter == "tia" else self.depth // 2
            one = functools.partial(adapters.make, width=self.width)
            adapting = self.param("adapters", blocks.stacked(one, layers))
        if self.backbone == "frozen":
            embedding, backbone = jax.lax.stop_gradient((embedding, backbone))
        patches = patches_of(frames, size)
        videos, times, rows, columns, _ = patches.shape
        positions = jnp.asarray(self._positions(rows, columns), self.dtype)

        flat = {**embedding, "kernel": embedding["kernel"].reshape(-1, self.width)}

        def embed(clips):
            return _dense(flat, normalised(clips).astype(self.dtype)) + positions

        clips = patches.reshape(-1, *positions.shape[:1], patches.shape[-1])
        x = blocks.over_clips(embed, clips, chunk)
        grid = (videos, times, rows * columns)
        x = blocks.run(self._block, backbone, x, grid, self.adapter, adapting, chunk, self.remat)
        return x.reshape(*grid, -1).astype(jnp.float32).mean(axis=2)

    def _make_block(self, key):
        width, hidden = self.width, self.hidden or 4 * self.width
        keys = jax.random.split(key, 4)
        norm = lambda: {"scale": jnp.ones(width), "bias": jnp.zeros(width)}  # noqa: E731
        return {
            "norm1": norm(),
            "attn": {
                "qkv": {"kernel": _truncated(keys[0], (width, 3 * width))},
                "q_bias": jnp.zeros(width),
                "v_bias": jnp.zeros(width),
                "proj": _dense_of(keys[1], (width,), width),
            },
            "norm2": norm(),
            "mlp": {
                "fc1": _dense_of(keys[2], (width,), hidden),
                "fc2": _dense_of(keys[3], (hidden,), width),
            },
        }

    def _block(self, params: Tree, x: Float[Array, "N tokens C"]) -> Float[Array, "N tokens C"]:
        own = params["attn"]
        y = _norm(params["norm1"], x)
        biases = jnp.concatenate([own["q_bias"], jnp.zeros_like(own["q_bias"]), own["v_bias"]])
        qkv = _dense({**own["qkv"], "bias": biases}, y)
        q, k, v = jnp.moveaxis(qkv.reshape(*y.shape[:2], 3, self.heads, -1), 2, 0)
        x = x + _dense(own["proj"], attention(q, k, v).reshape(y.shape))
        y = _dense(params["mlp"]["fc1"], _norm(params["norm2"], x))
        return x + _dense(params["mlp"]["fc2"], jax.nn.gelu(y, approximate=False))

    def _positions(self, rows: int, columns: int) -> Float[np.ndarray, "tokens C"]:
        times, side = self.clip // _TUBE, self.image // self.patch
        table = sinusoids(times * side**2, self.width).reshape(times, side, side, self.width)
        return resized(table, rows, columns).reshape(-1, self.width)


def patches_of(
    frames: Real[AnyArray, "B F H W 3"], size: tuple[int, int, int]
) -> Real[Array, "B F/t H/h W/w t*h*w*3"]:
    """Cuts frames into patches of (t, h, w) frames and pixels.

    A row of pixels stays whole until then, for a TPU's memory; see `chunked.encode`.
    """
    videos, (t, h, w) = len(frames), size
    times, rows, columns = (n // part for n, part in zip(frames.shape[1:4], size, strict=True))
    x = frames.reshape(videos, times, t, rows, h, columns, w * 3)
    return x.transpose(0, 1, 3, 5, 2, 4, 6).reshape(videos, times, rows, columns, -1)


def normalised(patches: Real[Array, "... pixels*3"]) -> Float[Array, "... pixels*3"]:
    """RGB in 0..255, channels last within each patch, in units of ImageNet's deviation."""
    pixels = patches.shape[-1] // 3
    mean, std = np.tile(MEAN, pixels), np.tile(STD, pixels)
    return (patches / 255.0 - jnp.asarray(mean, jnp.float32)) / jnp.asarray(std, jnp.float32)


def _truncated(key, shape):
    return 0.02 * jax.random.truncated_normal(key, -2.0, 2.0, shape)


def _dense_of(key, inputs: tuple[int, ...], outputs: int) -> Tree:
    return {"kernel": _truncated(key, (*inputs, outputs)), "bias": jnp.zeros(outputs)}


def _dense(params: Tree, x: Float[Array, "... C"]) -> Float[Array, "... D"]:
    return x @ params["kernel"].astype(x.dtype) + params["bias"].astype(x.dtype)


def _norm(params: Tree, x: Float[Array, "... C"]) -> Float[Array, "... C"]:
    y = x.astype(jnp.float32)
    y = y - y.mean(axis=-1, keepdims=True)
    y = y * jax.lax.rsqrt(jnp.square(y).mean(axis=-1, keepdims=True) + _EPSILON)
    return (y * params["scale"] + params["bias"]).astype(x.dtype)
