"""`python -m lofi_jax.study --config=F --workdir=D --seeds=0,1,2`: the rows of a config over
several seeds.

Every seed is a run of lofi_jax.main in D/seed_N, with its own world where the dataset is synthetic;
what rows share is computed once. Ends with D/study.json, a table of mean and standard deviation,
and D/study.png.
"""

import dataclasses
import pathlib

from absl import flags

from lofi_jax import errors
from lofi_jax.comma_separated import names
from lofi_jax.command_line import define_config, parse_flags
from lofi_jax.config import typed
from lofi_jax.files import write_json
from lofi_jax.jobs import auto, pipeline
from lofi_jax.reports import bars, tables
from lofi_jax.run.start import start_run
from lofi_jax.training import processes

_CONFIG = define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for everything the study writes.", required=True
)
_SEEDS = flags.DEFINE_string("seeds", "0,1,2", "Seeds, separated by commas.")
_DISTRIBUTED = flags.DEFINE_string(
    "distributed",
    "",
    "auto or HOST:PORT,COUNT,INDEX, where no cluster says that there are several processes.",
)


def main() -> None:
    try:
        seeds = sorted({int(seed) for seed in names(_SEEDS.value)})
    except ValueError:
        raise errors.UserError(
            f"--seeds={_SEEDS.value}: whole numbers, separated by commas"
        ) from None
    processes.start(_DISTRIBUTED.value)
    folder = pathlib.Path(_WORKDIR.value)
    runs = {}
    for seed in seeds:
        config = dataclasses.replace(typed(_CONFIG.value), seed=seed)
        workdir = str(folder / f"seed_{seed}")
        with errors.naming_full_disk(folder):
            run = start_run(auto.resolve(config, workdir), workdir)
            if processes.is_first():
                print(f"seed {seed}")
            results = pipeline.run(run)
        if not results and processes.is_first():
            raise errors.UserError("config.stages: a study needs the stage evaluate")
        runs[str(seed)] = results
    if not processes.is_first():
        return
    write_json(folder / "study.json", runs, indent=1)
    bars.draw(folder / "study.png", list(runs.values()))
    print(tables.study(list(runs.values())))
    print(f"all files are in {folder}")


if __name__ == "__main__":
    errors.run(main, parse_flags)
