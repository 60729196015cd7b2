"""`python -m lofi_jax.study --config=F --workdir=D --seeds=0,1,2`: the rows of a config over
several seeds.

Every seed is a run of lofi_jax.main in D/seed_N, with its own world where the dataset is synthetic;
what rows share is computed once. Ends with D/study.json, a table of mean and standard deviation,
and D/study.png.

With --folds=3 instead, for a data set too small for one split, whose annotation file gives each
video a "fold" from 0 to 2: every fold is a run in D/fold_N that trains on the other folds' videos.
The table is of all folds' detections pooled (D/detections/ROW.json), with bootstrap intervals over
videos.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from absl import flags

from lofi_jax import errors, locks
from lofi_jax.comma_separated import names
from lofi_jax.command_line import define_config, parse_flags
from lofi_jax.config import Config, typed, validate
from lofi_jax.devices import huge_pages
from lofi_jax.files import try_to_fill, write_json
from lofi_jax.jobs import folds, pipeline
from lofi_jax.jobs.planning import auto
from lofi_jax.reports import bars, tables
from lofi_jax.run.start import Run, start_run
from lofi_jax.training import processes
from lofi_jax.training.lost import naming_lost

_CONFIG = define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for everything the study writes.", required=True
)
_SEEDS = flags.DEFINE_string("seeds", "0,1,2", "Seeds, separated by commas.")
_FOLDS = flags.DEFINE_integer("folds", 0, "Number of folds, in place of seeds.", 0)
_WAIT = locks.define_wait()
_DISTRIBUTED = flags.DEFINE_string(
    "distributed",
    "",
    "auto or HOST:PORT,COUNT,INDEX, where no cluster says that there are several processes.",
)


@naming_lost()
def main() -> None:
    processes.start(_DISTRIBUTED.value)
    folder, config = pathlib.Path(_WORKDIR.value), typed(_CONFIG.value)
    if "evaluate" not in names(config.stages):
        raise errors.UsageError("config.stages: a study needs the stage evaluate")
    variants = _folds(config, folder) if _FOLDS.value else _seeds(config)
    for variant in variants.values():
        validate(variant)
    try_to_fill(folder)
    runs, results = [], {}
    for name, variant in variants.items():
        workdir = str(folder / name)
        with errors.naming_full_disk(folder):
            run = start_run(auto.resolve(variant, workdir), workdir)
            if processes.is_first():
                print(name.replace("_", " "))
            found = pipeline.run(run, wait=_WAIT.value)
        runs.append(run)
        results[name.partition("_")[2]] = found
    if not processes.is_first():
        return
    with errors.naming_full_disk(folder):
        print(_conclude(folder, runs, results))
    print(f"all files are in {folder}")


def _conclude(folder: pathlib.Path, runs: Sequence[Run], results: Mapping[str, dict]) -> str:
    """Writes what all runs came to; returns the table."""
    if _FOLDS.value:
        pooled = folds.pool(runs, folder)
        write_json(folder / "study.json", {"folds": results, "pooled": pooled}, indent=1)
        bars.draw(folder / "study.png", [pooled], f"{len(runs)} folds pooled")
        return tables.pooled(pooled)
    each = list(results.values())
    write_json(folder / "study.json", results, indent=1)
    bars.draw(folder / "study.png", each, f"mean of {len(runs)} seeds")
    return tables.study(each)


def _seeds(config: Config) -> dict[str, Config]:
    """The config with each seed, by folder."""
    try:
        seeds = sorted({int(seed) for seed in names(_SEEDS.value)})
    except ValueError:
        seeds = []
    if not seeds:
        raise errors.UsageError(f"--seeds={_SEEDS.value}: whole numbers, separated by commas")
    return {f"seed_{seed}": dataclasses.replace(config, seed=seed) for seed in seeds}


def _folds(config: Config, folder: pathlib.Path) -> dict[str, Config]:
    """The config with each fold, by folder; all prepare the videos once."""
    if flags.FLAGS["seeds"].present:
        raise errors.UsageError(
            f"--folds={_FOLDS.value} and --seeds={_SEEDS.value}: give one of them; folds are of"
            f" config.seed, {config.seed}"
        )
    folds.check(config, _FOLDS.value)
    data_dir = config.data.data_dir or str(folder.absolute() / "data")
    return {
        f"fold_{fold}": dataclasses.replace(
            config, data=dataclasses.replace(config.data, fold=fold, data_dir=data_dir)
        )
        for fold in range(_FOLDS.value)
    }


if __name__ == "__main__":
    huge_pages.begin_with()
    errors.run(main, parse_flags)
