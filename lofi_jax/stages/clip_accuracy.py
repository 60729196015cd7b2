"""How well stage 1's encoder classifies clips it has not seen: top-1 and top-5, 10 clips a video averaged."""

import json
import pathlib

import flax.linen as nn
import jax
import numpy as np

from lofi_jax.config import full_fidelity
from lofi_jax.data.loader import clips, trimmed_clips
from lofi_jax.files import write_json
from lofi_jax.run import datasets
from lofi_jax.run.workdir import Run, make_encoder
from lofi_jax.training.checkpoints import load_state
from lofi_jax.training.progress import Progress


def run(run: Run, folder: pathlib.Path, drawing: trimmed_clips.Drawing) -> None:
    """Measures the encoder trained in a folder on the source's test subset, and writes accuracy.json there.

    A video's probabilities are the mean over its clips, centre crop.
    """
    subset, path = run.config.source.test_subset, folder / "accuracy.json"
    if not subset:
        return
    if not path.exists():
        write_json(path, _measure(run, folder, drawing, subset))
    measured = json.loads(path.read_text())
    print(
        f"accuracy on {measured['videos']} videos of {subset!r}, {measured['clips']} clips each: top-1"
        f" {100 * measured['top1']:.2f}%, top-5 {100 * measured['top5']:.2f}%"
    )


def _measure(run: Run, folder: pathlib.Path, drawing: trimmed_clips.Drawing, subset: str) -> dict:
    source = datasets.source(run, subset)
    state = load_state(folder / "checkpoints")
    encoder, classifier = make_encoder(run.config), nn.Dense(len(source.classes))
    variables = {"params": state["params"]["encoder"], "batch_stats": state["statistics"]}

    @jax.jit
    def probabilities(variables, weights, frames):
        logits = classifier.apply({"params": weights}, encoder.apply(variables, frames))
        return jax.nn.softmax(logits).mean(axis=0)

    transformation = trimmed_clips.TestClips(full_fidelity(run.config), drawing)
    progress = Progress("test (acp)", len(source.records), unit="videos")
    ranks = []
    for batch in clips.evaluation_batches(source.records, transformation, batch_size=1):
        found = np.asarray(
            probabilities(variables, state["params"]["classifier"], batch["frames"][0])
        )
        ranks.append(int((found > found[batch["label"][0]]).sum()))
        progress.show(len(ranks), {})
    progress.close()
    return {
        "subset": subset,
        "videos": len(ranks),
        "clips": trimmed_clips.TEST_CLIPS,
        "top1": float(np.mean(np.array(ranks) < 1)),
        "top5": float(np.mean(np.array(ranks) < 5)),
    }
