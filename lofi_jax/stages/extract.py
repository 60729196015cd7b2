"""Between stages 2 and 3: every video's features at full fidelity, written to disk once an encoder."""

import jax
import numpy as np

from lofi_jax.config import full_fidelity
from lofi_jax.data import clips
from lofi_jax.data.features import FeatureStore
from lofi_jax.stages import datasets, pretrain
from lofi_jax.stages.setup import Run, encode_videos, load_encoder
from lofi_jax.training.progress import Progress
from lofi_jax.training.sharding import replicate, shard_batch


def encoder_checkpoint(run: Run, start: str):
    """The folder of the checkpoints of a start's encoder."""
    return pretrain.checkpoint_folder(run) if start == "acp" else run.workdir / "joint/checkpoints"


def store(run: Run, start: str) -> FeatureStore:
    """Where the features of a start's encoder lie."""
    return FeatureStore(run.workdir / "features" / start)


def run(run: Run, start: str) -> None:
    """Encodes the videos that have no features yet, in the dataset's order."""
    features = store(run, start)
    if features.is_finished():
        return
    features.folder.mkdir(parents=True, exist_ok=True)
    target = datasets.target(run)
    checkpoint = encoder_checkpoint(run, start)
    encode = FullFidelityEncoder(run, load_encoder(checkpoint))
    videos = len(target.train) + len(target.test)
    progress, done = Progress(f"extract ({start})", videos, unit="videos"), 0
    for records in (target.train, target.test):
        for batch in _batches(run, records, target.most_instances):
            ids = [str(video_id) for video_id in batch["video_id"]]
            if not all(features.path(video_id).exists() for video_id in ids):
                for video_id, x in zip(ids, encode(batch["frames"]), strict=True):
                    features.write(video_id, x)
            done += len(ids)
            progress.show(done, {})
    progress.close()
    features.finish([v.video_id for v in target.train_videos], str(checkpoint))


def _batches(run: Run, records, instances: int):
    """All videos of the records at full fidelity."""
    config = run.config
    full = full_fidelity(config)
    transformation = clips.WholeVideo(
        lambda index: full, config.data.frames, instances, clips.NONE, 0
    )
    return clips.evaluation_batches(records, transformation, config.extract.batch_size)


class FullFidelityEncoder:
    """Frames (B, L, T, H, W, 3) uint8 in, features (B, L, C) float32 out, for any B, on all devices."""

    def __init__(self, run: Run, variables: dict):
        self._mesh = run.mesh
        self._encode = jax.jit(encode_videos(run, run.config.extract.chunk))
        self._variables = replicate(variables, run.mesh)
        devices = run.mesh.shape["data"]
        self._batch = -(-run.config.extract.batch_size // devices) * devices

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        missing = self._batch - len(frames)
        padded = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        encoded = self._encode(
            self._variables, shard_batch({"frames": padded}, self._mesh)["frames"]
        )
        return np.asarray(encoded)[: len(frames)]
