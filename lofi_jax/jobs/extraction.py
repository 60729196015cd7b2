"""Writes the features of a run's encoders: encoded, read from external files, or concatenated."""

import numpy as np

from lofi_jax.config import full_fidelity
from lofi_jax.data.features import external
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.data.subset import Subset
from lofi_jax.errors import UserError
from lofi_jax.run import checkpoints, datasets, features
from lofi_jax.run.networks import make_encoder_of
from lofi_jax.run.start import Run
from lofi_jax.stages import extract
from lofi_jax.stages.extract import FullFidelityEncoder
from lofi_jax.training import processes
from lofi_jax.training.progress import Progress
from lofi_jax.training.sharding import local_mesh


def extract_features(run: Run, encoder: str) -> None:
    """Writes the features of every video that has none yet."""
    store = features.unchecked_store(run, encoder)
    made = features.fingerprint(run, encoder)
    if processes.is_first():
        store.begin(encoder, made)
    processes.wait(f"extract {encoder}: begun")
    target = datasets.target(run)
    ids = [video.video_id for video in target.videos]
    finished = store.is_finished() and not store.missing(ids)
    # Wait, so that no process writes a file that another still looks for.
    processes.wait(f"extract {encoder}: looked")
    if finished:
        return
    if encoder != "external" and "+" not in encoder:
        _encode(run, encoder, store)
    elif processes.is_first():
        _read(run, store) if encoder == "external" else _join(run, encoder, store)
    processes.wait(f"extract {encoder}: encoded")
    if processes.is_first():
        store.finish([v.video_id for v in target.train_videos])
    processes.wait(f"extract {encoder}: finished")


def _join(run: Run, encoder: str, store: FeatureStore) -> None:
    """Concatenates the features of several encoders."""
    parts = [features.store(run, part) for part in encoder.split("+")]
    for video in datasets.target(run).videos:
        joined = np.concatenate([part.read(video.video_id) for part in parts], axis=1)
        store.write(video.video_id, joined)


def _read(run: Run, store: FeatureStore) -> None:
    """Reads features made elsewhere; all must have as many channels as the first."""
    folders = run.config.data.feature_dirs.split(",")
    width = None
    for video in datasets.target(run).videos:
        length = datasets.length(run.config, video.known_duration)
        found = external.read(folders, video.video_id, length)
        width = width or found.shape[1]
        if found.shape[1] != width:
            raise UserError(
                f"{run.config.data.feature_dirs}: video {video.video_id!r} has {found.shape[1]}"
                f" channels, the ones before it {width}"
            )
        store.write(video.video_id, found)


def _encode(run: Run, encoder: str, store: FeatureStore) -> None:
    """Encodes this process's videos in the dataset's order; a killed extraction resumes with the
    rest.
    """
    config, target = run.config, datasets.target(run)
    index, count = processes.place()
    full, settings = full_fidelity(config), config.extract
    encode = FullFidelityEncoder(
        make_encoder_of(config, encoder),
        checkpoints.encoder_variables(run, encoder),
        local_mesh(run.mesh),
        settings.batch_size,
        settings.chunk,
    )
    subsets = ((target.train, target.train_videos), (target.test, target.test_videos))
    total = sum(len(videos[index::count]) for _, videos in subsets)
    progress, done = Progress(f"extract ({encoder})", total, unit="videos"), 0
    for records, annotated in subsets:
        own = range(index, len(annotated), count)
        missing = [own[i] for i in store.missing([annotated[i].video_id for i in own])]
        done += len(own) - len(missing)
        rest = [annotated[i] for i in missing]
        lengths = [datasets.length(config, video.known_duration) for video in rest]
        encoded = extract.encode(
            Subset(records, missing),
            lengths,
            full,
            config.data.frames,
            encode,
            settings.batch_size,
        )
        for video, rows in zip(rest, encoded, strict=True):
            store.write(video.video_id, rows)
            done += 1
            progress.show(done, {})
    progress.close()
