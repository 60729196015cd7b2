"""V-JEPA 2 and 2.1 (arXiv 2506.09985, 2603.14482): a vision transformer with rotary positions, as
an encoder of windows.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.errors import UserError
from lofi_jax.models.encoders.video_transformer import VideoTransformer
from lofi_jax.models.encoders.videomae import normalised
from lofi_jax.models.layers import blocks, transformer
from lofi_jax.models.layers.attention import attention
from lofi_jax.models.layers.drop_path import Keys

Tree = Any

VERSIONS = ("2", "2.1")
_TUBE = 2  # frames of a token
_TRAINED = 256  # pixels of the side whose positions version 2.1 gives images of every size


class VJEPA(VideoTransformer, kw_only=True):
    """Maps windows to one feature for every two frames: the mean of their normalised tokens.

    Attention stays within a clip; the adapters, if any, mix time over the whole window.

    >>> encoder = VJEPA(width=24, depth=2, heads=2, patch=8, clip=4, adapter="tia")
    >>> frames = np.zeros((1, 12, 16, 24, 3), np.uint8)
    >>> variables = jax.jit(encoder.init)(jax.random.key(0), frames)
    >>> jax.jit(encoder.apply)(variables, frames).shape
    (1, 6, 24)

    Attributes, besides those of `VideoTransformer`:
        width: channels of the tokens and features.
        depth: blocks.
        heads: of the attention; divides the width.
        version: whose weights, "2" or "2.1": they differ in the rotary positions, see `rotations`,
            and 2.1 adds an embedding of the modality, video, to the tokens.
    """

    width: int
    depth: int
    heads: int
    version: str = "2"

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

        Raises:
            UserError: no such version, or a clip of an odd number of frames.
        """
        if self.version not in VERSIONS:
            raise UserError(
                f"V-JEPA's version is one of {', '.join(VERSIONS)}, not {self.version!r}"
            )
        if self.clip % _TUBE:
            raise UserError(
                f"V-JEPA takes frames in pairs, so a clip of {self.clip} is none: change"
                " config.encoder.clip"
            )
        size = (_TUBE, self.patch, self.patch)
        backbone = {
            "patch_embed": self.param(
                "patch_embed", lambda key: transformer.fresh_dense(key, (*size, 3), self.width)
            ),
            "blocks": self.param("blocks", blocks.stacked(self._fresh_block, self.depth)),
            "norm": self.param("norm", lambda _: transformer.fresh_norm(self.width)),
        }
        if self.version == "2.1":
            normal = nn.initializers.normal(1e-6)
            backbone["video_embed"] = self.param("video_embed", normal, (self.width,))
        backbone = self.held(backbone)
        adapting = self.adapting(self.depth, self.width)

        patches = transformer.patches_of(jnp.asarray(frames), size)
        videos, times, rows, columns, _ = patches.shape
        clips = patches.reshape(-1, self.clip // _TUBE * rows * columns, patches.shape[-1])
        kernel = backbone["patch_embed"]["kernel"].reshape(-1, self.width)
        bias = backbone["patch_embed"]["bias"] + backbone.get("video_embed", 0.0)

        def embed(clips):
            x = normalised(clips).astype(self.dtype)
            return transformer.dense({"kernel": kernel, "bias": bias}, x)

        turned = rotations(
            self.version,
            (self.clip // _TUBE, rows, columns),
            self.width // self.heads,
            _TRAINED // self.patch,
        )
        block = functools.partial(transformer.block, attend=functools.partial(self._attend, turned))
        x = blocks.over_clips(embed, clips, chunk)
        grid = (videos, times, rows * columns)
        factors = self.factors(keys, frames.shape[1], self.depth)
        layers = blocks.Layers(backbone["blocks"], adapting, factors)
        x = blocks.run(block, layers, x, grid, self.adapter, chunk, self.remat)
        x = transformer.norm(backbone["norm"], x)
        return x.reshape(*grid, -1).astype(jnp.float32).mean(axis=2)

    def _fresh_block(self, key):
        qkv, proj, mlp = jax.random.split(key, 3)
        own = {
            "qkv": transformer.fresh_dense(qkv, self.width, 3 * self.width),
            "proj": transformer.fresh_dense(proj, self.width, self.width),
        }
        return transformer.fresh_block(mlp, own, self.width, 4 * self.width)

    def _attend(self, turned, own: Tree, x: Float[Array, "N tokens C"]):
        qkv = transformer.dense(own["qkv"], x)
        q, k, v = jnp.moveaxis(qkv.reshape(*x.shape[:2], 3, self.heads, -1), 2, 0)
        y = attention(rotated(q, *turned), rotated(k, *turned), v)
        return transformer.dense(own["proj"], y.reshape(x.shape))


def rotations(
    version: str, grid: tuple[int, int, int], channels: int, trained: int
) -> tuple[Float[np.ndarray, "tokens C"], Float[np.ndarray, "tokens C"]]:
    """Cosines and sines by which a head's channels are turned at each token of a clip.

    A third of the channels, rounded down to an even number, turns with the time, another with the
    row, another with the column; what is left of the channels never turns. The channels of a pair
    (2i, 2i + 1) share a frequency in version 2.1. In version 2 channel j of a third of c channels
    has frequency j mod c/2, so the two differ: an oversight that its weights have learnt with.

    Args:
        grid: times, rows and columns of a clip's tokens.
        channels: of a head.
        trained: rows and columns of the images that version 2.1 stretches all others' positions
            to. Version 2 counts positions.
    """
    third = channels // 3 // 2 * 2
    frequencies = 10000.0 ** -(np.arange(third // 2) / (third / 2))
    each = np.repeat(frequencies, 2) if version == "2.1" else np.tile(frequencies, 2)
    times, *sides = (np.arange(n, dtype=np.float64) for n in grid)
    if version == "2.1":
        sides = [at * (trained - 1) / max(len(at) - 1, 1) for at in sides]
    places = np.meshgrid(times, *sides, indexing="ij")
    angles = [place.reshape(-1, 1) * each for place in places]
    angles = np.pad(np.concatenate(angles, axis=1), ((0, 0), (0, channels - 3 * third)))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotated(
    x: Float[Array, "N tokens heads C"],
    cosines: Float[np.ndarray, "tokens C"],
    sines: Float[np.ndarray, "tokens C"],
) -> Float[Array, "N tokens heads C"]:
    """Turns each pair of channels (arXiv 2104.09864, equation 34)."""
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    across = jnp.stack([-pairs[..., 1], pairs[..., 0]], axis=-1).reshape(x.shape)
    return (x * cosines[:, None] + across * sines[:, None]).astype(x.dtype)
