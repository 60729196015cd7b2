"""VideoPrism's public checkpoints (github.com/google-deepmind/videoprism): its own Flax variables,
their blocks stacked.
"""

import numpy as np

from lofi_jax.weights.assign import Layout

_DENSE = {"query": "query", "key": "key", "value": "value", "post": "out"}
_BLOCK = {
    "layer_norm/scale": "norm1.scale",
    "layer_norm/bias": "norm1.bias",
    **{
        f"self_attention/{public}/{short}": f"attn.{ours}.{kind}"
        for public, ours in _DENSE.items()
        for short, kind in {"w": "kernel", "b": "bias"}.items()
    },
    "ff_layer/layer_norm/scale": "norm2.scale",
    "ff_layer/layer_norm/bias": "norm2.bias",
    **{
        f"ff_layer/ffn_layer{i}/linear/{kind}": f"mlp.fc{i}.{kind}"
        for i in (1, 2)
        for kind in ("kernel", "bias")
    },
}
_PLACES = {
    "patch_projection/linear/kernel": "patch_embed.kernel",
    "patch_projection/linear/bias": "patch_embed.bias",
    "spatial_pos_emb/emb_var": "places",
    "temporal_pos_emb/emb_var": "times",
    **{
        f"{stage}_encoder/transformers_stack/x_layers/{public}": f"{stage}.{ours}"
        for stage in ("spatial", "temporal")
        for public, ours in _BLOCK.items()
    },
    **{
        f"{stage}_ln/{kind}": f"{stage}_norm.{kind}"
        for stage in ("spatial", "temporal")
        for kind in ("scale", "bias")
    },
}


class _FlaxLayout(Layout):
    """A layout whose rules are whole keys and whole paths."""

    def __call__(self, key: str, array: np.ndarray) -> tuple[str, np.ndarray]:
        path = dict(self.rules).get(key, key)
        return path, self.arrange(path, array)

    def key(self, path: str) -> str:
        return {ours: public for public, ours in self.rules}.get(path, path)


def _arrange(path: str, array: np.ndarray) -> np.ndarray:
    """Heads side by side, and scales that are not counted from one."""
    if path.endswith(".scale"):
        return array + 1
    if path.endswith(".attn.out.kernel") and array.ndim == 4:
        array = np.moveaxis(array, 1, -1)  # (blocks, out, heads, C) -> (blocks, heads, C, out)
        return array.reshape(len(array), -1, array.shape[-1])
    if ".attn." in path and not path.endswith(".out.bias"):
        kept = array.ndim - 2
        return array.reshape(*array.shape[:kept], -1)
    return array


layout = _FlaxLayout(
    tuple((f"params/{public}", f"params.{ours}") for public, ours in _PLACES.items()), _arrange
)
