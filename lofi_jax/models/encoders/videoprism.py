"""VideoPrism (arXiv 2402.13217) as an encoder of windows: a vision transformer on every frame, then
one over time at every place.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.models.encoders.video_transformer import VideoTransformer
from lofi_jax.models.layers import blocks, transformer
from lofi_jax.models.layers.drop_path import Keys

Tree = Any

_CAP = 50.0  # of the attention's logits
_STAGES = ("spatial", "temporal")


class VideoPrism(VideoTransformer, kw_only=True):
    """Maps windows to one feature for every frame: the mean of its normalised tokens.

    Attention stays within a frame, and over time within a clip; the adapters, if any, mix time over
    the whole window. The learned positions follow the grid: those of other clips and images than
    `positions` are interpolated linearly.

    >>> sizes = {"width": 16, "depths": (2, 1), "heads": 2, "positions": (4, 2, 2), "patch": 8}
    >>> encoder = VideoPrism(**sizes, clip=4, adapter="tia")
    >>> frames = np.zeros((1, 12, 16, 24, 3), np.uint8)
    >>> variables = jax.jit(encoder.init)(jax.random.key(0), frames)
    >>> jax.jit(encoder.apply)(variables, frames).shape
    (1, 12, 16)

    Attributes, besides those of `VideoTransformer`:
        width: channels of the tokens and features.
        depths: blocks over space and over time, the last ones. Adapters beside the backbone take
            the outputs of those over time.
        heads: of the attention; divides the width.
        positions: frames, rows and columns that positions are learned for.
    """

    width: int
    depths: tuple[int, int]
    heads: int
    positions: tuple[int, int, int] = (16, 16, 16)
    patch: int = 18

    @property
    def adaptable(self) -> int:
        return self.depths[1] if self.adapter == "side" else sum(self.depths)

    @nn.compact
    def __call__(
        self,
        frames: Real[AnyArray, "B F H W 3"],
        train: bool = False,
        chunk: int = 0,
        keys: Keys = None,
    ) -> Float[Array, "B F C"]:
        """Maps uint8 or float RGB frames in 0..255 to float32 features.

        Args:
            keys: of the windows, in training.
        """
        backbone = {
            name: self.param(name, make)
            for name, make in {
                "patch_embed": lambda key: transformer.fresh_dense(
                    key, 3 * self.patch**2, self.width
                ),
                "places": self._fresh_positions(self.positions[1] * self.positions[2]),
                "spatial": blocks.stacked(self._fresh_block, self.depths[0]),
                "spatial_norm": lambda _: transformer.fresh_norm(self.width),
                "times": self._fresh_positions(self.positions[0]),
                "temporal": blocks.stacked(self._fresh_block, self.depths[1]),
                "temporal_norm": lambda _: transformer.fresh_norm(self.width),
            }.items()
        }
        backbone = self.held(backbone)
        adapting = {"spatial": None, "temporal": None}
        if self.adapter != "none":
            adapting |= self.param("adapters", self._fresh_adapters)
        factors = self._factors(keys, frames.shape[1])

        patches = transformer.patches_of(jnp.asarray(frames), (1, self.patch, self.patch))
        videos, times, rows, columns, _ = patches.shape
        grid = (videos, times, rows * columns)
        places = resized(backbone["places"].reshape(*self.positions[1:], -1), (rows, columns))
        places = places.reshape(-1, self.width).astype(self.dtype)

        def embed(images):
            x = (images / 255.0).astype(self.dtype)
            return transformer.dense(backbone["patch_embed"], x) + places

        def run(stage, block, x, chunk):
            adapter = "none" if adapting[stage] is None else self.adapter
            layers = blocks.Layers(backbone[stage], adapting[stage], factors[stage])
            x = blocks.run(block, layers, x, grid, adapter, chunk, self.remat)
            return transformer.norm(backbone[f"{stage}_norm"], x)

        images = patches.reshape(-1, *patches.shape[2:]).reshape(videos * times, grid[2], -1)
        x = blocks.over_clips(embed, images, chunk * self.clip)
        block = functools.partial(transformer.block, attend=self._attend)
        x = run("spatial", block, x, chunk * self.clip)
        if self.adapter == "side":
            x = jax.lax.stop_gradient(x)
        x = x.reshape(-1, self.clip, *x.shape[1:])
        moments = resized(backbone["times"], (self.clip,)).astype(self.dtype)
        x = (x + moments[:, None]).reshape(len(x), -1, self.width)
        x = run("temporal", functools.partial(self._over_time, block), x, chunk)
        return x.reshape(*grid, -1).astype(jnp.float32).mean(axis=2)

    def _fresh_positions(self, number: int):
        return lambda key: nn.initializers.lecun_normal()(key, (number, self.width))

    def _fresh_block(self, key):
        *attention, mlp = jax.random.split(key, 5)
        names = ("query", "key", "value", "out")
        dense = (transformer.fresh_dense(key, self.width, self.width) for key in attention)
        own = dict(zip(names, dense, strict=True))
        return transformer.fresh_block(mlp, own, self.width, 4 * self.width)

    def _fresh_adapters(self, key):
        space, time = self.depths
        over_time = min(self.adapted or time, time)
        over_space = max(self.adapted - time, 0) if self.adapted else space
        numbers = {} if self.adapter == "side" or not over_space else {_STAGES[0]: over_space}
        numbers[_STAGES[1]] = over_time
        keys = jax.random.split(key, len(numbers))
        return {
            stage: self.fresh_adapters(number, self.width)(key)
            for (stage, number), key in zip(numbers.items(), keys, strict=True)
        }

    def _factors(self, keys: Keys, frames: int):
        """Of each stage's blocks: a clip's images leave the same branches out."""
        every = self.factors(keys, frames, sum(self.depths))
        if every is None:
            return dict.fromkeys(_STAGES)
        spatial, temporal = every[: self.depths[0]], every[self.depths[0] :]
        return {"spatial": jnp.repeat(spatial, self.clip, axis=1), "temporal": temporal}

    def _attend(self, own: Tree, x: Float[Array, "N tokens C"]) -> Float[Array, "N tokens C"]:
        heads = (*x.shape[:2], self.heads, -1)
        q, k, v = (
            transformer.dense(own[name], x).reshape(heads) for name in ("query", "key", "value")
        )
        return transformer.dense(own["out"], capped_attention(q, k, v).reshape(x.shape))

    def _over_time(self, block, params: Tree, x: Float[Array, "N tokens C"], factors=None):
        """A block on the tokens of each place of a clip's images."""
        clips, tokens, width = x.shape
        x = x.reshape(clips, self.clip, -1, width).swapaxes(1, 2)
        if factors is not None:
            factors = jnp.repeat(factors, x.shape[1], axis=0)
        y = block(params, x.reshape(-1, self.clip, width), factors=factors).reshape(x.shape)
        return y.swapaxes(1, 2).reshape(clips, tokens, width)


def capped_attention(
    query: Float[Array, "N tokens heads C"],
    key: Float[Array, "N tokens heads C"],
    value: Float[Array, "N tokens heads C"],
) -> Float[Array, "N tokens heads C"]:
    """Scaled dot-product attention whose logits a tanh keeps within -50 to 50."""
    query = query * query.shape[-1] ** -0.5
    logits = jnp.einsum("nqhc,nkhc->nhqk", query, key, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(_CAP * jnp.tanh(logits / _CAP))
    return jnp.einsum("nhqk,nkhc->nqhc", weights.astype(value.dtype), value)


def resized(table: Float[Array, "*grid C"], grid: tuple[int, ...]) -> Float[Array, "*new C"]:
    """Interpolates learned positions linearly to another grid; a smaller one averages them."""
    if table.shape[:-1] == grid:
        return table
    return jax.image.resize(table, (*grid, table.shape[-1]), "linear")
