"""Cross-validation: the detections of all folds, pooled and evaluated as those of one data set."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lofi_jax.config import Config, rows_of, tious, validate_data
from lofi_jax.data.annotations import folds, formats
from lofi_jax.detection import bootstrap
from lofi_jax.errors import UsageError, UserError
from lofi_jax.jobs import detection
from lofi_jax.results import ground_truth, predictions
from lofi_jax.run import datasets
from lofi_jax.run.start import Run
from lofi_jax.run.workdir import Workdir
from lofi_jax.stages import detect

# Draws of the bootstrap, and its seed.
_RESAMPLES, _SEED = 1000, 0


def check(config: Config, count: int) -> None:
    """Checks that the annotations have so many folds, numbered from 0.

    Raises:
        UserError: they have not.
    """
    validate_data(config)
    if config.dataset == "synthetic":
        raise UsageError(f"--folds={count}: the built-in world has no folds: use --seeds")
    annotations = formats.load(config.data.annotations)
    there = sorted(set(folds.numbers(annotations, config.data.train_subset).values()))
    if there != list(range(count)):
        raise UserError(
            f"--folds={count}: {config.data.annotations} has the folds {', '.join(map(str, there))}"
        )


def pool(runs: Sequence[Run], folder: pathlib.Path) -> dict[str, Any]:
    """Evaluates each row's detections in the test videos of all folds together.

    Args:
        runs: one for each fold, finished.
        folder: gets detections/ROW.json, of all folds.

    Returns:
        As results.json: {"dataset", "rows"}; each row also has "interval", of its average mAP, and,
        where the frozen row of its head is among them, "lead" over it and "lead_interval", as
        fractions. An interval holds 95 of 100 samples of the videos (bootstrap).
    """
    config, classes = runs[0].config, datasets.target(runs[0]).classes
    videos = {v.video_id: v for run in runs for v in datasets.target(run).test_videos}
    truth = ground_truth.ground_truth(videos, classes)
    times = bootstrap.draws(len(videos), _RESAMPLES, _SEED)
    thresholds, table = tious(config), rows_of(config)
    rows, drawn = [], []
    for row in table:
        each = [detection.load_detections(run, row) for run in runs]
        found = {video_id: one for part in each for video_id, one in part.items()}
        entries = {video_id: one.entries() for video_id, one in found.items()}
        predictions.save(Workdir(folder).detections(row), entries)
        counted = predictions.instances(predictions.of_detections(found), list(videos), classes)
        measured = detect.measure(truth, counted, len(classes), thresholds)
        drawn.append(bootstrap.mean_precisions(truth, counted, len(classes), thresholds, times))
        rows.append(dataclasses.asdict(row) | measured | {"interval": _interval(drawn[-1])})
    frozen = {row.head: i for i, row in enumerate(table) if row.start == "acp"}
    for i, row in enumerate(rows):
        baseline = frozen.get(row["head"], i)
        if baseline != i:
            row["lead"] = row["average_mAP"] - rows[baseline]["average_mAP"]
            row["lead_interval"] = _interval(drawn[i] - drawn[baseline])
    return {"dataset": config.dataset, "rows": rows}


def _interval(drawn: np.ndarray) -> list[float]:
    return np.quantile(drawn[np.isfinite(drawn)], (0.025, 0.975)).tolist()
