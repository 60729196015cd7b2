"""What bench_step.py measures: a piece of work, its config, and the arrays that both sides get."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from lofi_jax import config as configs
from lofi_jax import fidelity
from lofi_jax.config import Config, optimizer, typed
from lofi_jax.detection import targets
from lofi_jax.fidelity import Fidelity
from lofi_jax.jobs.planning import planning
from lofi_jax.models.heads import alignment, gtad

# Channels of the features; asking an encoder would start JAX, and PyTorch's process does without.
WIDTHS = {"tsm_resnet18": 512, "tsm_resnet50": 2048}
RATE, MOMENTUM = 1e-6, 0.9
HEAD = gtad.GTAD()


@dataclasses.dataclass(frozen=True)
class Work:
    """One step of a training, or one batch of an extraction.

    Attributes:
        kind: "joint", "extract" or "head".
        encoder: its name.
        fidelity: of the joint step; the others are at full fidelity.
        snippets, frames, height: of a video at full fidelity; the images are square.
        batch_size: videos.
        dtype: of the computation.
    """

    kind: str
    encoder: str
    fidelity: str
    snippets: int
    frames: int
    height: int
    batch_size: int
    dtype: str

    @property
    def config(self) -> Config:
        """The paper's, at these sizes."""
        c = configs.paper(f"start=lofi,encoder={self.encoder},fidelity={self.fidelity}")
        c.data.snippets, c.data.frames = self.snippets, self.frames
        c.data.height = c.data.width = self.height
        c.joint.batch_size = c.extract.batch_size = self.batch_size
        c.joint.chunk, c.dtype = 0, self.dtype
        c.joint.optimizer = optimizer(
            name="sgd", learning_rate=RATE, momentum=MOMENTUM, weight_decay=0.0
        )
        return typed(c)

    @property
    def at(self) -> Fidelity:
        """The resolution of its videos."""
        c = self.config
        return fidelity.schedule(self.fidelity, configs.full_fidelity(c), c.joint.factors, 1)(0)

    @property
    def width(self) -> int:
        """Channels of its features."""
        return WIDTHS[self.encoder]

    def __str__(self) -> str:
        shape = f"{self.at.snippets} x {self.frames} x {self.at.height} x {self.at.width}"
        if self.kind == "head":
            shape = f"{self.at.snippets} x {self.width}"
        name = f"{self.fidelity}, " if self.kind == "joint" else ""
        return (
            f"{self.kind}, {self.encoder}, {name}{self.batch_size} videos of {shape}, {self.dtype}"
        )


def batch(work: Work) -> dict[str, np.ndarray]:
    """What our step takes: noise with three actions a video."""
    rng = np.random.default_rng(0)
    videos, at = work.batch_size, work.at
    segments = np.zeros((videos, planning.INSTANCES, 2), np.float32)
    segments[:, :3] = [(0.05, 0.4), (0.5, 0.95), (0.6, 0.85)]
    arrays = {
        "segments": segments,
        "labels": np.zeros((videos, planning.INSTANCES), np.int32),
        "valid": segments[..., 1] > 0,
    }
    if work.kind == "head":
        noise = rng.normal(size=(videos, at.snippets, work.width))
        return arrays | {"features": noise.astype(np.float32)}
    shape = (videos, at.snippets, work.frames, at.height, at.width, 3)
    return arrays | {"frames": rng.integers(0, 256, shape, np.uint8)}


def for_torch(work: Work, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same batch with what a loader can prepare once: the loss's labels and the alignment's
    matrices.
    """
    snippets = work.at.snippets
    cells = alignment.anchors(snippets, HEAD.max_duration) / np.float32(snippets)
    segments, valid = arrays["segments"], arrays["valid"]

    centre = gtad.RULES[HEAD.rules].centre

    def boundary(i):
        at = jax.vmap(lambda s, v: targets.boundary_probabilities(s[:, i], v, snippets, centre))
        return np.asarray(at(segments, valid))

    ious = jax.vmap(lambda s, v: targets.anchor_ious(cells, s, v))(segments, valid)
    inner, context = gtad.alignments(snippets, HEAD.max_duration, HEAD.bins, False)
    seen = "features" if work.kind == "head" else "frames"
    return {
        seen: arrays[seen],
        "ious": np.asarray(ious),
        "start": boundary(0),
        "end": boundary(1),
        "inner": _sampling_matrix(inner),
        "context": _sampling_matrix(context),
    }


def _sampling_matrix(sampling: alignment.Sampling) -> np.ndarray:
    """(L, bins, anchors)."""
    weights = np.asarray(sampling.weights(jnp.asarray(sampling.rows)))
    return weights.T.reshape(sampling.snippets, sampling.bins, -1)
