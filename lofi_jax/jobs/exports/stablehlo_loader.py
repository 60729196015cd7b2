"""Detects with an exported folder. Needs JAX and NumPy, and flatbuffers, by which JAX reads it.

detect = load("exported")
for start, end, label, score in detect(frames, duration): ...
"""

import hashlib
import io
import json
import pathlib

import jax
import numpy as np


def load(folder):
    """A function (frames (L, T, H, W, 3) uint8 RGB, seconds) -> [(start, end, label, score)], best
    first; of a folder with features only, frames -> {encoder: features (L, C)}. Raises ValueError
    for a file that is not as it was exported.
    """
    folder = pathlib.Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text())

    def read(file):
        content = (folder / pathlib.Path(file).name).read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest["sha256"].get(file):
            raise ValueError(f"{folder / file}: not as it was exported: export again")
        return content

    programs, weights = manifest["programs"].items(), manifest["weights"].items()
    call = {k: jax.jit(jax.export.deserialize(bytearray(read(x))).call) for k, x in programs}
    weights = {k: dict(np.load(io.BytesIO(read(x)))) for k, x in weights}

    def detect(frames, duration):
        if not 0 <= duration < np.inf:
            raise ValueError(f"the duration is {duration}, not a number of seconds")
        outputs = call["head"](weights["head"], call["encoder"](weights["encoder"], frames))
        found = call["postprocessing"](outputs, np.float32(duration))
        rows = [np.asarray(found[key])[: int(found["count"])] for key in ("segments", "scores")]
        labels = [manifest["classes"][i] for i in np.asarray(found["labels"])]
        return [(*map(float, s), label, float(p)) for s, p, label in zip(*rows, labels)]  # noqa: B905

    return detect if "head" in call else lambda frames: call["encoder"](weights["encoder"], frames)
