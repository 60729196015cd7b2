"""How well stage 1's encoder classifies clips it has not seen: top-1 and top-5, 10 clips a
segment averaged.
"""

from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lofi_jax.data.loader import clips, trimmed_clips
from lofi_jax.models import windows
from lofi_jax.models.protocols import Encoder, apply
from lofi_jax.stages.pretrain import Clips
from lofi_jax.training.progress import Progress


def measure(encoder: Encoder, state: dict[str, Any], test: Clips) -> dict[str, Any]:
    """Measures the encoder and the classification layer of stage 1's last train state.

    A segment's probabilities are the mean over its clips, centre crop.

    Args:
        test: segments, of each of which the transformation makes several clips (clips, T, H, W, 3).

    Returns:
        "segments", "clips" (of each), "top1" and "top5" in 0..1.
    """
    classifier = nn.Dense(test.classes)
    variables = {"params": state["params"]["encoder"], "batch_stats": state["batch_stats"]}

    @jax.jit
    def probabilities(variables, weights, frames):
        logits = apply(classifier, weights, windows.encode_clips(encoder, variables, frames))
        return jax.nn.softmax(logits).mean(axis=0)

    progress = Progress("test (acp)", len(test.records), unit="segments")
    ranks = []
    for batch in clips.evaluation_batches(test.records, test.transformation, batch_size=1):
        weights = state["params"]["classifier"]
        found = np.asarray(probabilities(variables, weights, batch["frames"][0]))
        ranks.append(int((found > found[batch["label"][0]]).sum()))
        progress.show(len(ranks), {})
    progress.close()
    return {
        "segments": len(ranks),
        "clips": trimmed_clips.TEST_CLIPS,
        "top1": float(np.mean(np.array(ranks) < 1)),
        "top5": float(np.mean(np.array(ranks) < 5)),
    }
