"""Features on disk: a folder per encoder that holds

- <video id>.npy: the features of a video, (L, C) float32, one row per snippet, evenly spaced over
  the video's duration; a checksum behind them.
- features.json: {"encoder": its name, "fingerprint": what the features depend on, "width": C,
  "mean": [C numbers], "std": [C numbers], "checksum": of the others}. Mean and deviation are over
  all snippets of the training videos.

The fingerprint is written at the start of an extraction, the rest at its end. So a killed
extraction resumes with the same encoder only, and features of other encoders or weights are never
mistaken for its own.
"""

import dataclasses
import functools
import io
import json
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np

from lofi_jax.data.features.arrays import MOST_BYTES, parse_npy
from lofi_jax.data.features.checksums import read_sealed, sealed
from lofi_jax.data.features.fingerprints import Fingerprint, differences
from lofi_jax.errors import UserError, one_line, warn
from lofi_jax.files import aside, is_number, read_json, remove, safe_name, write_json


@dataclasses.dataclass(frozen=True)
class FeatureStore:
    """A folder of features."""

    folder: pathlib.Path

    def begin(self, encoder: str, fingerprint: Fingerprint) -> None:
        """Makes the folder, or resumes an extraction with the same fingerprint. Where features.json
        is damaged, nobody knows whose features they are, so all are made again, with a warning.

        Raises:
            UserError: it holds features that are, or may be, of another encoder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.description.exists() and not self._is_sound():
            warn([f"{self.description}: is damaged, so all features beside it are made again"])
            for path in (*self.folder.glob("*.npy"), self.description):
                remove(path)
        if self.description.exists():
            self.check(fingerprint)
        elif next(self.folder.glob("*.npy"), None):
            raise UserError(
                f"{self.folder}: holds features without a features.json that names their encoder:"
                " delete this folder"
            )
        else:
            self._describe({"encoder": encoder, "fingerprint": fingerprint})

    def require(self, fingerprint: Fingerprint) -> None:
        """Checks that the features are complete and match a fingerprint.

        Raises:
            UserError: they are not.
        """
        if not self.is_finished():
            raise UserError(f"{self.folder}: no finished features; run the stage extract first")
        self.check(fingerprint)

    def check(self, fingerprint: Fingerprint) -> None:
        """Checks that the features, complete or not, match a fingerprint.

        Raises:
            UserError: they are not.
        """
        changes = differences(self._description().get("fingerprint", {}), fingerprint)
        if changes:
            raise UserError(
                f"{self.folder}: holds the features of another encoder ({changes}): delete this"
                " folder and run the"
                " stage extract again, or change these keys back"
            )

    def finish(self, training_ids: list[str]) -> None:
        """Adds the mean and the deviation over the training videos to features.json."""
        # One video at a time, since all may not fit into memory (Chan et al., 1979, for merging two
        # samples).
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for video_id in training_ids:
            rows = self.read(video_id).astype(np.float64)
            own_mean, together = rows.mean(axis=0), count + len(rows)
            apart = own_mean - mean
            squares = squares + np.sum((rows - own_mean) ** 2, axis=0)
            squares = squares + apart**2 * count * len(rows) / together
            mean = mean + apart * len(rows) / together
            count = together
        statistics = {
            "width": len(mean),
            "mean": mean.tolist(),
            "std": np.sqrt(squares / count).tolist(),
        }
        self._describe(self._description() | statistics)

    def is_finished(self) -> bool:
        """Whether extraction has finished once."""
        return self.description.exists() and "mean" in self._description()

    def missing(self, video_ids: Sequence[str]) -> list[int]:
        """The indices of the videos without features; damaged ones are deleted, with a warning."""
        return [i for i, video_id in enumerate(video_ids) if not self._holds(video_id)]

    def _holds(self, video_id: str) -> bool:
        path = self.path(video_id)
        if not path.exists():
            return False
        try:
            self.read(video_id)
        except UserError:
            warn([f"{path}: is damaged, so these features are made again"])
            remove(path)
            return False
        return True

    def path(self, video_id: str) -> pathlib.Path:
        """The file of a video's features."""
        return self.folder / f"{safe_name(video_id)}.npy"

    def write(self, video_id: str, features: np.ndarray) -> None:
        """Writes a video's features (L, C), atomically."""
        content = io.BytesIO()
        np.save(content, np.asarray(features, np.float32))
        # Whatever a machine that goes down leaves of it, its checksum tells.
        with aside(self.path(video_id), lasting=False) as unfinished:
            unfinished.write_bytes(sealed(content.getvalue()))

    def read(self, video_id: str) -> np.ndarray:
        """A video's features (L, C) float32.

        Raises:
            UserError: they are missing or damaged.
        """
        path = self.path(video_id)
        try:
            content = read_sealed(path, MOST_BYTES)
            features = parse_npy(io.BytesIO(content), len(content))
        except FileNotFoundError as error:
            raise UserError(f"{path}: is missing: run the stage extract again") from error
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path}: cannot be read as features ({one_line(str(error))}): delete it and run"
                " the stage"
                " extract again"
            ) from error
        wrong = ""
        if features.ndim != 2 or not features.size or features.dtype != np.float32:
            wrong = f"{features.dtype} of shape {features.shape}, not (snippets, channels) float32"
        elif self._width not in (None, features.shape[1]):
            wrong = f"{features.shape[1]} channels, where the others have {self._width}"
        elif not np.isfinite(features).all():
            wrong = "a number that is not finite"
        if wrong:
            raise UserError(
                f"{path}: damaged: holds {wrong}: delete it and run the stage extract again"
            )
        return features

    def standardise(self, features: np.ndarray) -> np.ndarray:
        """Features of any video, less the training videos' mean, over their deviation."""
        mean, std = self.statistics
        return (features - mean) / std

    @functools.cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """What `standardise` subtracts and what it divides by, (C,) float32 each."""
        description = self._description()
        mean, std = (np.array(description[key], np.float32) for key in ("mean", "std"))
        return mean, std + 1e-6

    @functools.cached_property
    def _width(self) -> int | None:
        """The channels, once an extraction has finished."""
        return self._description().get("width") if self.description.exists() else None

    @property
    def description(self) -> pathlib.Path:
        """features.json."""
        return self.folder / "features.json"

    def _description(self) -> dict:
        try:
            description, _ = read_json(self.description)
            if not _is_description(description):
                raise UserError(f"{self.description}: damaged")
            return description
        except UserError as error:
            raise UserError(
                f"{error}: delete the folder that it is in and run the stage extract again"
            ) from error

    def _is_sound(self) -> bool:
        try:
            self._description()
        except UserError:
            return False
        return True

    def _describe(self, description: dict) -> None:
        write_json(self.description, description | {"checksum": _checksum(description)})


def _is_description(value: object) -> bool:
    """Whether a value is what `FeatureStore` writes: unfinished, or with statistics of one
    length.
    """
    if not isinstance(value, dict) or not isinstance(value.get("fingerprint"), dict):
        return False
    if value.get("checksum") != _checksum(value):
        return False
    mean, std, width = (value.get(key) for key in ("mean", "std", "width"))
    if (mean, std, width) == (None, None, None):
        return True
    return (
        isinstance(mean, list)
        and isinstance(std, list)
        and len(mean) == len(std) == width
        and all(map(is_number, mean))
        and all(is_number(deviation) and deviation >= 0 for deviation in std)
    )


def _checksum(description: dict) -> int:
    """Of all that a description says but its checksum."""
    told = {key: value for key, value in description.items() if key != "checksum"}
    return zlib.crc32(json.dumps(told, sort_keys=True).encode())
