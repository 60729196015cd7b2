"""Where a run keeps each file that it writes; inside a training's folder: `training.folders`,
inside a folder of features: `data.features.store`.
"""

import dataclasses
import pathlib

from lofi_jax.config.rows import Row
from lofi_jax.training import folders

ENCODERS, FEATURES, CLASSIFIERS = "encoders", "features", "classifier"
HEADS, DETECTIONS = "heads", "detections"


@dataclasses.dataclass(frozen=True)
class Workdir:
    """A run's folder."""

    root: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        return self.root / "config.json"

    @property
    def cache(self) -> pathlib.Path:
        """Compiled programs."""
        return self.root / "cache"

    @property
    def data(self) -> pathlib.Path:
        """Prepared datasets, unless the config names another folder."""
        return self.root / "data"

    @property
    def encoders(self) -> pathlib.Path:
        """All encoders' trainings."""
        return self.root / ENCODERS

    def encoder(self, name: str) -> pathlib.Path:
        """An encoder's training, named after how it was trained."""
        return self.encoders / name

    @property
    def all_features(self) -> pathlib.Path:
        """The features of each encoder."""
        return self.root / FEATURES

    def features(self, encoder: str) -> pathlib.Path:
        return self.all_features / encoder

    def classifier(self, encoder: str) -> pathlib.Path:
        """The training of the classifier of videos on an encoder's features."""
        return self.root / CLASSIFIERS / encoder

    def segment_classifier(self, encoder: str) -> pathlib.Path:
        """The training of the classifier of segments on an encoder's features."""
        return self.root / CLASSIFIERS / f"{encoder}_segments"

    def head(self, row: Row) -> pathlib.Path:
        """The training of a row's head."""
        return self.root / HEADS / row.name

    def detections(self, row: Row) -> pathlib.Path:
        return self.root / DETECTIONS / f"{row.name}.json"

    @property
    def best_detections(self) -> pathlib.Path:
        return self.root / "detections.json"

    @property
    def results(self) -> pathlib.Path:
        return self.root / "results.json"

    @property
    def learned_from(self) -> pathlib.Path:
        """Which annotations the trainings learn from, as hashes."""
        return self.root / "learned_from.json"

    @property
    def seconds(self) -> pathlib.Path:
        """The time spent on each stage, over all restarts."""
        return self.root / "seconds.json"

    @property
    def timelines(self) -> pathlib.Path:
        return self.root / "timelines"

    @property
    def curves(self) -> pathlib.Path:
        return self.root / "curves.png"

    def trainings(self) -> list[pathlib.Path]:
        """The folders of all trainings that have a curve, in the order of the stages."""
        stages = (self.root / name for name in (ENCODERS, CLASSIFIERS, HEADS))
        return [path.parent for stage in stages for path in sorted(stage.rglob(folders.CURVE))]


def trained_on(training: pathlib.Path) -> pathlib.Path:
    """Which features a head or a classifier learns from, in the folder of its training."""
    return training / "features.json"
