"""The process in which plans for devices that are not there are made: see `absent.plans`."""

import dataclasses
import pathlib

from lofi_jax import config as configs
from lofi_jax.devices import compile_only, process
from lofi_jax.errors import UserError
from lofi_jax.stages import planning
from lofi_jax.stages.setup import Run
from lofi_jax.training.sharding import make_mesh


def main() -> None:
    """Answers with each plan twice, as `planning.plans` gives it; or with what the user can mend."""
    task, answer = process.given()
    config = configs.from_json(task["config"])
    try:
        devices = compile_only.devices(task["device"], task["count"])
        run = Run(config, pathlib.Path(), make_mesh(config.mesh.data, config.mesh.snippet, devices))
        for plan in planning.plans(run, [planning.Candidate(*one) for one in task["wanted"]]):
            answer(dataclasses.asdict(plan))
    except UserError as error:
        answer({"error": str(error)})


if __name__ == "__main__":
    main()
