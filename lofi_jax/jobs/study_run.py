"""`lofi_jax.study` once JAX is there: runs a config for each seed or fold, and says what they came
to.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from lofi_jax import errors
from lofi_jax.comma_separated import names
from lofi_jax.config import Config, typed, validate
from lofi_jax.files import try_to_fill, write_json
from lofi_jax.jobs import folds, pipeline
from lofi_jax.jobs.planning import auto
from lofi_jax.reports import bars, tables
from lofi_jax.run.start import Run, start_run
from lofi_jax.training import processes
from lofi_jax.training.lost import naming_lost


@naming_lost()
def run(
    config: ConfigDict,
    workdir: str,
    seeds: Sequence[int],
    fold_count: int,
    distributed: str,
    wait: bool,
) -> None:
    """Runs a config for each seed, or for each fold.

    Args:
        workdir: gets a run's folder for each, and the study's own files.
        fold_count: of folds in place of the seeds; 0: the seeds.
        distributed: see `processes.start`.
        wait: for another process in a run's folder; see `locks.only`.

    Raises:
        UserError: what the user can fix.
    """
    processes.start(distributed)
    folder, typed_config = pathlib.Path(workdir), typed(config)
    if "evaluate" not in names(typed_config.stages):
        raise errors.UsageError("config.stages: a study needs the stage evaluate")
    variants = (
        _folds(typed_config, folder, fold_count)
        if fold_count
        else {f"seed_{seed}": dataclasses.replace(typed_config, seed=seed) for seed in seeds}
    )
    for variant in variants.values():
        validate(variant)
    try_to_fill(folder)
    runs, results = [], {}
    for name, variant in variants.items():
        with errors.naming_full_disk(folder):
            started = start_run(auto.resolve(variant, str(folder / name)), str(folder / name))
            if processes.is_first():
                print(name.replace("_", " "))
            found = pipeline.run(started, wait=wait)
        runs.append(started)
        results[name.partition("_")[2]] = found
    if not processes.is_first():
        return
    with errors.naming_full_disk(folder):
        print(_conclude(folder, runs, results, pooled=bool(fold_count)))
    print(f"all files are in {folder}")


def _folds(config: Config, folder: pathlib.Path, count: int) -> dict[str, Config]:
    """The config with each fold, by folder; all prepare the videos once."""
    folds.check(config, count)
    data_dir = config.data.data_dir or str(folder.absolute() / "data")
    return {
        f"fold_{fold}": dataclasses.replace(
            config, data=dataclasses.replace(config.data, fold=fold, data_dir=data_dir)
        )
        for fold in range(count)
    }


def _conclude(
    folder: pathlib.Path, runs: Sequence[Run], results: Mapping[str, dict], pooled: bool
) -> str:
    """Writes what all runs came to; returns the table."""
    if pooled:
        found = folds.pool(runs, folder)
        write_json(folder / "study.json", {"folds": results, "pooled": found}, indent=1)
        bars.draw(folder / "study.png", [found], f"{len(runs)} folds pooled")
        return tables.pooled(found)
    each = list(results.values())
    write_json(folder / "study.json", results, indent=1)
    bars.draw(folder / "study.png", each, f"mean of {len(runs)} seeds")
    return tables.study(each)
