"""V-JEPA 2's public checkpoints (github.com/facebookresearch/vjepa2), and 2.1's."""

from collections.abc import Mapping

import numpy as np

from lofi_jax.weights.assign import Layout

_RULES = (("^backbone.", "^"), ("^patch_embed.proj.", "^patch_embed."))
_LATER = (*_RULES, ("^norms_block.3.", "^norm."), ("^video_mod_embed", "^video_embed"))


def _arrange(path: str, array: np.ndarray) -> np.ndarray:
    return array.ravel() if path == "params.video_embed" else array


VJEPA_LAYOUTS = {"V-JEPA 2's": Layout(_RULES), "V-JEPA 2.1's": Layout(_LATER, _arrange)}


def options(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The arguments of `VJEPA` that a checkpoint's arrays tell."""
    later = any(key.endswith("video_mod_embed") for key in arrays)
    return {"version": "2.1" if later else "2"}
