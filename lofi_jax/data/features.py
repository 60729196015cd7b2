"""Features on disk: one .npy a video, (L, C) float32, and features.json, which says what they are.

A folder without features.json is unfinished: `missing` tells what is left to do.
"""

import dataclasses
import functools
import json
import os
import pathlib

import numpy as np

from lofi_jax.data.annotations import Video
from lofi_jax.data.instances import pad_instances
from lofi_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class FeatureStore:
    """A folder of features."""

    folder: pathlib.Path

    def path(self, video_id: str) -> pathlib.Path:
        """The file of a video's features."""
        return self.folder / f"{video_id}.npy"

    def write(self, video_id: str, features: np.ndarray) -> None:
        """Writes a video's features (L, C), whole or not at all."""
        part = self.folder / f".{video_id}.part"
        with part.open("wb") as file:
            np.save(file, np.asarray(features, np.float32))
        os.replace(part, self.path(video_id))

    def finish(self, training_ids: list[str], encoder: str) -> None:
        """Writes features.json: the encoder's checkpoint, and mean and deviation over the training videos.

        A head sees features less the mean over the deviation.
        """
        rows = np.concatenate([self.read(video_id) for video_id in training_ids])
        description = {
            "encoder": encoder,
            "width": rows.shape[1],
            "mean": rows.mean(axis=0, dtype=np.float64).tolist(),
            "std": rows.std(axis=0, dtype=np.float64).tolist(),
        }
        part = self.folder / ".features.part"
        part.write_text(json.dumps(description))
        os.replace(part, self.folder / "features.json")

    def is_finished(self) -> bool:
        """Whether every video's features are there."""
        return (self.folder / "features.json").exists()

    def description(self) -> dict:
        """What features.json says.

        Raises:
            UserError: the extraction has not finished.
        """
        if not self.is_finished():
            raise UserError(f"{self.folder}: no finished features; run the stage extract first")
        return json.loads((self.folder / "features.json").read_text())

    def read(self, video_id: str) -> np.ndarray:
        """A video's features (L, C) float32."""
        return np.load(self.path(video_id))

    def standardise(self, features: np.ndarray) -> np.ndarray:
        """Features of any video, less the training videos' mean, over their deviation."""
        mean, std = self._statistics
        return (features - mean) / std

    @functools.cached_property
    def _statistics(self) -> tuple[np.ndarray, np.ndarray]:
        description = self.description()
        mean, std = (np.array(description[key], np.float32) for key in ("mean", "std"))
        return mean, std + 1e-6


class FeatureVideos:
    """Random access to videos as standardised features with their annotation padded to `instances`."""

    def __init__(
        self,
        store: FeatureStore,
        videos: list[Video],
        classes: tuple[str, ...],
        instances: int,
    ):
        self._store, self._videos, self._instances = store, videos, instances
        self._index = {label: i for i, label in enumerate(classes)}

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        video = self._videos[i]
        features = self._store.standardise(self._store.read(video.video_id))
        labels = [self._index[label] for label in video.labels]
        return {"features": features} | pad_instances(
            video.segments / video.duration, labels, self._instances
        )
