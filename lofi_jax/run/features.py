"""A run's features on disk: what they depend on, and how they are read."""

from collections.abc import Sequence
from typing import Any

from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.features import fingerprints
from lofi_jax.data.features.fingerprints import Fingerprint
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.data.features.training import FeatureVideos, FeatureWindows
from lofi_jax.models.protocols import by_path
from lofi_jax.run import checkpoints, datasets
from lofi_jax.run.start import Run


def unchecked_store(run: Run, encoder: str) -> FeatureStore:
    """The store of an encoder's features, ours or external."""
    return FeatureStore(run.workdir.features(encoder))


def store(run: Run, encoder: str) -> FeatureStore:
    """The features of an encoder, which have been extracted.

    Raises:
        UserError: there are none, or they are another encoder's.
    """
    features = unchecked_store(run, encoder)
    features.require(fingerprint(run, encoder))
    return features


def of_videos(run: Run, encoder: str, subset: Sequence[Video], standardise: bool) -> FeatureVideos:
    """Some of the target's videos as features of an encoder, each at its own length, standardised
    or as stored.

    Raises:
        UserError: as `store`.
    """
    target = datasets.target(run)
    most = max(len(video.labels) for video in target.videos)
    return FeatureVideos(store(run, encoder), subset, target.classes, most, standardise)


def training_examples(run: Run, encoder: str, standardise: bool) -> FeatureVideos | FeatureWindows:
    """The training videos, or the windows of them to train on, as `of_videos` gives videos.

    Raises:
        UserError: as `store`.
    """
    target = datasets.target(run)
    if target.windows is None:
        return of_videos(run, encoder, target.train_videos, standardise)
    return FeatureWindows(
        store(run, encoder),
        target.training_windows,
        target.windows,
        target.classes,
        target.most_instances,
        standardise,
    )


def fingerprint(run: Run, encoder: str) -> Fingerprint:
    """What an encoder's features depend on: its options, its weights, and what it sees of a video.

    Features made elsewhere depend on their folders, concatenated ones on their parts.
    """
    return run.once(_fingerprint, encoder)


def _fingerprint(run: Run, encoder: str) -> Fingerprint:
    config, data = run.config, run.config.data
    if "+" in encoder:
        return {
            f"{part}: {name}": value
            for part in encoder.split("+")
            for name, value in fingerprint(run, part).items()
        }
    if encoder == "external":
        return {
            "data.feature_dirs": data.feature_dirs,
            "data.snippets": data.snippets,
            "data.snippets_per_second": data.snippets_per_second,
        }
    settings = {"name": config.encoder.name, **config.encoder.options}
    options: Fingerprint = {f"encoder.{name}": _plain(value) for name, value in settings.items()}
    seen: Fingerprint = {f"data.{name}": getattr(data, name) for name in _SEEN}
    if encoder == "icp" and not config.initial_checkpoint:
        weights = f"random, of seed {config.seed}"
    else:
        variables = checkpoints.encoder_variables(run, encoder)
        weights = fingerprints.of_arrays(by_path(variables))
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


def _plain(value: Any) -> Any:
    """The value after a round trip through JSON."""
    return list(value) if isinstance(value, tuple) else value
