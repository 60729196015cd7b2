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

from absl import flags

from lofi_jax import errors, locks
from lofi_jax.comma_separated import names
from lofi_jax.command_line import define_config, parse_flags
from lofi_jax.devices import huge_pages

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


def main() -> None:
    seeds = _seeds()
    # Only here, for it takes seconds: by now the command has said that it starts.
    from lofi_jax.jobs import study_run

    study_run.run(
        _CONFIG.value, _WORKDIR.value, seeds, _FOLDS.value, _DISTRIBUTED.value, _WAIT.value
    )


def _seeds() -> list[int]:
    """Those that the command line names, each once."""
    if _FOLDS.value and flags.FLAGS["seeds"].present:
        raise errors.UsageError(
            f"--folds={_FOLDS.value} and --seeds={_SEEDS.value}: give one of them; folds are of"
            f" config.seed, {_CONFIG.value.seed}"
        )
    try:
        seeds = sorted({int(seed) for seed in names(_SEEDS.value)})
    except ValueError:
        seeds = []
    if not seeds:
        raise errors.UsageError(f"--seeds={_SEEDS.value}: whole numbers, separated by commas")
    return seeds


if __name__ == "__main__":
    huge_pages.begin_with()
    errors.run(main, parse_flags, "study: starting JAX")
