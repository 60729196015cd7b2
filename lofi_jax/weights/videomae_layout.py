"""VideoMAE's public checkpoints: its authors', mmaction2's and Hugging Face's."""

import re
from collections.abc import Mapping

import numpy as np

from lofi_jax.weights.assign import Layout

_OFFICIAL = (("^patch_embed.proj.", "^patch_embed."),)

VIDEOMAE_LAYOUTS = {
    "VideoMAE's authors'": Layout(_OFFICIAL),
    "mmaction2's VideoMAE": Layout(
        (
            ("^backbone.", "^"),
            ("^patch_embed.projection.", "^patch_embed."),
            ("mlp.layers.0.0.", "mlp.fc1."),
            ("mlp.layers.1.", "mlp.fc2."),
        )
    ),
    "Hugging Face's VideoMAE": Layout(
        (
            ("^videomae.", "^"),
            ("^embeddings.patch_embeddings.projection.", "^patch_embed."),
            ("^encoder.layer.#.attention.attention.", "^blocks.#.attn."),
            ("^encoder.layer.#.attention.output.dense.", "^blocks.#.attn.proj."),
            ("^encoder.layer.#.intermediate.dense.", "^blocks.#.mlp.fc1."),
            ("^encoder.layer.#.output.dense.", "^blocks.#.mlp.fc2."),
            ("^encoder.layer.#.layernorm_before.", "^blocks.#.norm1."),
            ("^encoder.layer.#.layernorm_after.", "^blocks.#.norm2."),
        )
    ),
}

_ATTENTION = r"(.*\.attention\.attention\.)"
_PARTS = ("query", "key", "value")


def joined(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, with Hugging Face's queries, keys and values in one, as the other layouts have
    them, and its biases as in its public files (version 5 of its library names them anew).
    """
    out = {
        re.sub(_ATTENTION + r"(q|v)(?:uery|alue)\.bias", r"\1\2_bias", key): array
        for key, array in arrays.items()
    }
    for key in arrays:
        found = re.fullmatch(_ATTENTION + r"query\.weight", key)
        names = [f"{found[1]}{part}.weight" for part in _PARTS] if found else []
        if found and all(name in arrays for name in names):
            out[f"{found[1]}qkv.weight"] = np.concatenate([out.pop(name) for name in names])
    return out


def is_pretraining(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a file is of the network that fills in masked pixels, whoever wrote it."""
    return any(key.endswith("encoder_to_decoder.weight") for key in arrays)
