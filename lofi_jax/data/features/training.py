"""Stored features as examples to train heads on: whole videos, or windows of long ones."""

from collections.abc import Sequence

import numpy as np

from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.annotations.padding import pad_instances
from lofi_jax.data.annotations.windows import Window
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.detection.windows import Windows, shown


class FeatureWindows:
    """Windows to train on, as features with their annotation padded to `instances`; see
    `FeatureVideos`.
    """

    def __init__(
        self,
        store: FeatureStore,
        chosen: Sequence[Window],
        windows: Windows,
        classes: tuple[str, ...],
        instances: int,
        standardise: bool,
    ):
        self._store, self._chosen, self._size = store, chosen, windows.size
        self._instances, self._standardise = instances, standardise
        self._index = {label: i for i, label in enumerate(classes)}

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        window = self._chosen[i]
        features = self._store.read(window.video.video_id)
        part = features[shown(window.start, self._size, len(features))]
        if self._standardise:
            part = self._store.standardise(part)
        segments = window.video.segments / window.video.known_duration
        labels = [self._index[label] for label in window.video.labels]
        return {"features": part} | pad_instances(segments, labels, self._instances)


class FeatureVideos:
    """Random access to videos as features with their annotation padded to `instances`.

    Args:
        standardise: see `FeatureStore.standardise`; otherwise the features come as they are stored.
    """

    def __init__(
        self,
        store: FeatureStore,
        videos: Sequence[Video],
        classes: tuple[str, ...],
        instances: int,
        standardise: bool,
    ):
        self._store, self._videos, self._instances = store, videos, instances
        self._index = {label: i for i, label in enumerate(classes)}
        self._standardise = standardise

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        video = self._videos[i]
        features = self._store.read(video.video_id)
        if self._standardise:
            features = self._store.standardise(features)
        labels = [self._index[label] for label in video.labels]
        return {"features": features} | pad_instances(
            video.segments / video.known_duration, labels, self._instances
        )
