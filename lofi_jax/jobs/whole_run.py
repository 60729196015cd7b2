"""`lofi_jax.main` once JAX is there: prepares, goes through its stages, says the result."""

from ml_collections import ConfigDict

from lofi_jax import errors
from lofi_jax.config import typed
from lofi_jax.files import try_to_fill
from lofi_jax.jobs import checkup, pipeline
from lofi_jax.jobs.planning import auto
from lofi_jax.reports import tables
from lofi_jax.run import rerun
from lofi_jax.run.start import start_run
from lofi_jax.training import processes
from lofi_jax.training.lost import naming_lost


@naming_lost()
def run(config: ConfigDict, workdir: str, distributed: str, again: str, wait: bool) -> None:
    """Runs a config in a workdir.

    Args:
        distributed: see `processes.start`.
        again: stages to start anew, comma-separated; see `rerun`.
        wait: for another process in the workdir; see `locks.only`.

    Raises:
        UserError: what the user can fix.
    """
    stages = rerun.parse(again)
    processes.start(distributed)
    try_to_fill(workdir)
    resolved = auto.resolve(typed(config), workdir)
    run = start_run(resolved, workdir)
    processes.silence_others()
    print(f"curves, once it trains: tensorboard --logdir={run.workdir.root}", flush=True)
    if processes.is_first():
        for line in checkup.first_lines(resolved):
            print(line)
    with errors.naming_full_disk(run.workdir.root):
        results = pipeline.run(run, stages, wait)
    if results:
        print(tables.results(results))
        print(tables.seconds(results["seconds"]))
        print(f"all files are in {run.workdir.root}")
