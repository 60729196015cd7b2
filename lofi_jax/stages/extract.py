"""Between stages 2 and 3: every video's features at full fidelity, written to disk once an encoder."""

import itertools

import jax
import numpy as np

from lofi_jax.config import full_fidelity
from lofi_jax.data import clips, feature_files
from lofi_jax.data.features import FeatureStore, FeatureVideos
from lofi_jax.data.windowed import FeatureWindows, Pieces
from lofi_jax.errors import UserError
from lofi_jax.stages import datasets, pretrain
from lofi_jax.stages.setup import Run, encode_videos
from lofi_jax.training.progress import Progress
from lofi_jax.training.sharding import replicate, shard_batch


def store(run: Run, encoder: str) -> FeatureStore:
    """Where the features of an encoder lie."""
    return FeatureStore(run.workdir / "features" / encoder)


def videos(run: Run, encoder: str, subset: list) -> FeatureVideos:
    """Some of the target's videos as features of an encoder, each at its own length.

    Raises:
        UserError: they have not been extracted.
    """
    target, features = datasets.target(run), store(run, encoder)
    features.description()
    most = max(len(video.labels) for video in target.videos)
    return FeatureVideos(features, subset, target.classes, most)


def training_examples(run: Run, encoder: str) -> FeatureVideos | FeatureWindows:
    """The training videos, or windows of them, as features of an encoder.

    Raises:
        UserError: they have not been extracted.
    """
    target = datasets.target(run)
    if target.windows is None:
        return videos(run, encoder, target.train_videos)
    features = store(run, encoder)
    features.description()
    return FeatureWindows(
        features, target.training_windows, target.windows, target.classes, target.most_instances
    )


def run(run: Run, encoder: str) -> None:
    """Writes the features of every video that has none yet: encoded, read from elsewhere, or concatenated."""
    features = store(run, encoder)
    if features.is_finished():
        return
    features.folder.mkdir(parents=True, exist_ok=True)
    target = datasets.target(run)
    if "+" in encoder:
        for video in target.videos:
            parts = [store(run, part).read(video.video_id) for part in encoder.split("+")]
            features.write(video.video_id, np.concatenate(parts, axis=1))
    elif encoder == "external":
        _read(run, features)
    else:
        _encode(run, encoder, features)
    features.finish([v.video_id for v in target.train_videos], encoder)


def _read(run: Run, features: FeatureStore) -> None:
    """Reads features made elsewhere; all must have as many channels as the first."""
    folders = run.config.data.feature_dirs.split(",")
    width = None
    for video in datasets.target(run).videos:
        length = datasets.length(run.config, video.duration)
        found = feature_files.read(folders, video.video_id, length)
        width = width or found.shape[1]
        if found.shape[1] != width:
            raise UserError(
                f"{run.config.data.feature_dirs}: video {video.video_id!r} has {found.shape[1]}"
                f" channels, the ones before it {width}"
            )
        features.write(video.video_id, found)


def _encode(run: Run, encoder: str, features: FeatureStore) -> None:
    """Encodes the videos in the dataset's order, those cut into windows piece by piece."""
    config, target = run.config, datasets.target(run)
    encode = FullFidelityEncoder(run, pretrain.variables(run, encoder))
    full = full_fidelity(config)
    whole = clips.WholeVideo(lambda index: full, config.data.frames, 0, clips.NONE, 0)
    progress, done = Progress(f"extract ({encoder})", len(target.videos), unit="videos"), 0
    for records, annotated in (
        (target.train, target.train_videos),
        (target.test, target.test_videos),
    ):
        # A killed extraction goes on with the first video that has no features.
        missing = [not features.path(video.video_id).exists() for video in annotated]
        first = missing.index(True) if True in missing else len(missing)
        done += first
        rest = annotated[first:]
        lengths = [datasets.length(config, video.duration) for video in rest]
        wanted = datasets.Chosen(records, range(first, len(records)))
        pieces = Pieces(wanted, lengths, full.snippets, config.data.frames)
        batches = clips.evaluation_batches(pieces, whole, config.extract.batch_size)
        encoded = (x for batch in batches for x in encode(batch["frames"]))
        for video, length, count in zip(rest, lengths, pieces.counts, strict=True):
            rows = np.concatenate(list(itertools.islice(encoded, count)))
            features.write(video.video_id, rows[:length])
            done += 1
            progress.show(done, {})
    progress.close()


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
        sharded = shard_batch({"frames": padded}, self._mesh)["frames"]
        return np.asarray(self._encode(self._variables, sharded))[: len(frames)]
