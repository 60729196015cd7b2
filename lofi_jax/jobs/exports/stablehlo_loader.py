"""Detects with an exported folder. Needs JAX and NumPy, and flatbuffers, by which JAX reads it.

detect = load("exported")
for start, end, label, score in detect(frames, duration): ...
"""

import json
import pathlib

import jax
import numpy as np


def load(folder):
    """A function (frames (L, T, H, W, 3) uint8 RGB, seconds) -> [(start, end, label, score)], best
    first; of a folder with features only, frames -> {encoder: features (L, C)}.
    """
    folder = pathlib.Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    call = {
        name: jax.jit(jax.export.deserialize(bytearray((folder / file).read_bytes())).call)
        for name, file in manifest["programs"].items()
    }
    weights = {name: dict(np.load(folder / file)) for name, file in manifest["weights"].items()}

    def detect(frames, duration):
        outputs = call["head"](weights["head"], call["encoder"](weights["encoder"], frames))
        found = call["postprocessing"](outputs, np.float32(duration))
        rows = [np.asarray(found[key])[: int(found["count"])] for key in ("segments", "scores")]
        labels = [manifest["classes"][i] for i in np.asarray(found["labels"])]
        return [(*map(float, s), label, float(p)) for s, p, label in zip(*rows, labels)]  # noqa: B905

    return detect if "head" in call else lambda frames: call["encoder"](weights["encoder"], frames)
