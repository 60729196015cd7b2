"""Between stages 2 and 3: every video's features at full fidelity, written to disk once an encoder."""

import dataclasses
import functools
import itertools

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from lofi_jax.config import full_fidelity
from lofi_jax.data import subset
from lofi_jax.data.features import external, fingerprints
from lofi_jax.data.features.fingerprints import Fingerprint
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.data.features.training import FeatureVideos, FeatureWindows
from lofi_jax.data.loader import clips
from lofi_jax.data.loader.window_clips import Pieces
from lofi_jax.errors import UserError
from lofi_jax.run import datasets
from lofi_jax.run.workdir import Run, encode_videos
from lofi_jax.stages import pretrain
from lofi_jax.training import processes
from lofi_jax.training.progress import Progress
from lofi_jax.training.sharding import local_mesh, replicate, shard_batch


def store(run: Run, encoder: str) -> FeatureStore:
    """The features of an encoder, which have been extracted.

    Raises:
        UserError: they have not, or they are another encoder's.
    """
    features = _store(run, encoder)
    features.require(fingerprint(run, encoder))
    return features


def videos(run: Run, encoder: str, subset: list, standardise: bool) -> FeatureVideos:
    """Some of the target's videos as features of an encoder, each at its own length, standardised or as stored.

    Raises:
        UserError: as `store`.
    """
    target = datasets.target(run)
    most = max(len(video.labels) for video in target.videos)
    return FeatureVideos(store(run, encoder), subset, target.classes, most, standardise)


def training_examples(run: Run, encoder: str, standardise: bool) -> FeatureVideos | FeatureWindows:
    """The training videos, or the windows of them to train on, as `videos` gives videos.

    Raises:
        UserError: as `store`.
    """
    target = datasets.target(run)
    if target.windows is None:
        return videos(run, encoder, target.train_videos, standardise)
    return FeatureWindows(
        store(run, encoder),
        target.training_windows,
        target.windows,
        target.classes,
        target.most_instances,
        standardise,
    )


@functools.cache
def fingerprint(run: Run, encoder: str) -> Fingerprint:
    """What the features of an encoder depend on: its own options and weights, and what it sees of a video.

    Features made elsewhere depend on their folders, concatenated ones on their parts.
    """
    config = run.config
    if "+" in encoder:
        return {
            f"{part}: {name}": value
            for part in encoder.split("+")
            for name, value in fingerprint(run, part).items()
        }
    if encoder == "external":
        return {
            "data.feature_dirs": config.data.feature_dirs,
            "data.snippets": config.data.snippets,
            "data.snippets_per_second": config.data.snippets_per_second,
        }
    options = {f"encoder.{name}": _plain(value) for name, value in config.encoder.items()}
    seen = {f"data.{name}": config.data[name] for name in _SEEN}
    if encoder == "icp" and not config.initial_checkpoint:
        weights = f"random, of seed {config.seed}"
    else:
        weights = fingerprints.of_arrays(flatten_dict(pretrain.variables(run, encoder), sep="."))
    return options | seen | {"dtype": config.dtype, "weights": weights}


# The config's keys in `data` that say what an encoder sees of a video.
_SEEN = (
    "snippets",
    "snippets_per_second",
    "frames",
    "stride",
    "height",
    "width",
    "short_side",
    "quality",
)


def _plain(value):
    """As JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _store(run: Run, encoder: str) -> FeatureStore:
    return FeatureStore(run.workdir / "features" / encoder)


def run(run: Run, encoder: str) -> None:
    """Writes the features of every video that has none yet: encoded, read from elsewhere, or concatenated."""
    features = _store(run, encoder)
    made = fingerprint(run, encoder)
    if processes.is_first():
        features.begin(encoder, made)
    processes.wait(f"extract {encoder}: begun")
    target = datasets.target(run)
    ids = [video.video_id for video in target.videos]
    finished = features.is_finished() and not features.missing(ids)
    # Before one has written what another is still looking for.
    processes.wait(f"extract {encoder}: looked")
    if finished:
        return
    if encoder != "external" and "+" not in encoder:
        _encode(run, encoder, features)
    elif processes.is_first():
        _read(run, features) if encoder == "external" else _join(run, encoder, features)
    processes.wait(f"extract {encoder}: encoded")
    if processes.is_first():
        features.finish([v.video_id for v in target.train_videos])
    processes.wait(f"extract {encoder}: finished")


def _join(run: Run, encoder: str, features: FeatureStore) -> None:
    """Concatenates the features of several encoders."""
    parts = [store(run, part) for part in encoder.split("+")]
    for video in datasets.target(run).videos:
        joined = np.concatenate([part.read(video.video_id) for part in parts], axis=1)
        features.write(video.video_id, joined)


def _read(run: Run, features: FeatureStore) -> None:
    """Reads features made elsewhere; all must have as many channels as the first."""
    folders = run.config.data.feature_dirs.split(",")
    width = None
    for video in datasets.target(run).videos:
        length = datasets.length(run.config, video.duration)
        found = external.read(folders, video.video_id, length)
        width = width or found.shape[1]
        if found.shape[1] != width:
            raise UserError(
                f"{run.config.data.feature_dirs}: video {video.video_id!r} has {found.shape[1]}"
                f" channels, the ones before it {width}"
            )
        features.write(video.video_id, found)


def _encode(run: Run, encoder: str, features: FeatureStore) -> None:
    """Encodes this process's videos in the dataset's order, those cut into windows piece by piece."""
    config, target = run.config, datasets.target(run)
    index, count = processes.place()
    run = dataclasses.replace(run, mesh=local_mesh(run.mesh))
    encode = FullFidelityEncoder(run, pretrain.variables(run, encoder))
    full = full_fidelity(config)
    whole = clips.WholeVideo(lambda index: full, config.data.frames, 0, clips.NONE, 0)
    total = sum(len(videos[index::count]) for videos in (target.train_videos, target.test_videos))
    progress, done = Progress(f"extract ({encoder})", total, unit="videos"), 0
    for records, annotated in (
        (target.train, target.train_videos),
        (target.test, target.test_videos),
    ):
        # A killed extraction goes on with the videos that have no features.
        own = range(index, len(annotated), count)
        absent = features.missing([annotated[i].video_id for i in own])
        missing = [own[i] for i in absent]
        done += len(own) - len(missing)
        rest = [annotated[i] for i in missing]
        lengths = [datasets.length(config, video.duration) for video in rest]
        wanted = subset.Subset(records, missing)
        pieces = Pieces(wanted, lengths, full.snippets, config.data.frames)
        batches = clips.evaluation_batches(pieces, whole, config.extract.batch_size)
        encoded = (x for batch in batches for x in encode(batch["frames"]))
        for video, length, several in zip(rest, lengths, pieces.counts, strict=True):
            rows = np.concatenate(list(itertools.islice(encoded, several)))
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
