"""`python -m lofi_jax.main --config=F --workdir=D`: a whole run from videos to a table; it
resumes.
"""

from absl import flags

from lofi_jax import errors, locks
from lofi_jax.config import define_config, parse_flags, typed
from lofi_jax.jobs import auto, pipeline
from lofi_jax.reports import tables
from lofi_jax.run.start import start_run
from lofi_jax.training import processes

_CONFIG = define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for everything the run writes.", required=True
)
_WAIT = locks.define_wait()
_DISTRIBUTED = flags.DEFINE_string(
    "distributed",
    "",
    "auto or HOST:PORT,COUNT,INDEX, where no cluster says that there are several processes.",
)


def main() -> None:
    processes.start(_DISTRIBUTED.value)
    config = auto.resolve(typed(_CONFIG.value), _WORKDIR.value)
    run = start_run(config, _WORKDIR.value)
    processes.silence_others()
    with errors.naming_full_disk(run.workdir.root):
        results = pipeline.run(run, _WAIT.value)
    if results:
        print(tables.results(results))
        print(tables.seconds(results["seconds"]))
        print(f"all files are in {run.workdir.root}")


if __name__ == "__main__":
    errors.run(main, parse_flags)
