"""The process that plans for devices that are not there: see `absent.plans`."""

import dataclasses

from lofi_jax import config as configs
from lofi_jax.devices import compile_only, process
from lofi_jax.errors import UserError
from lofi_jax.jobs.planning import planning
from lofi_jax.training.sharding import make_mesh


def main() -> None:
    """Answers with each plan twice, as `planning.plans` gives it, or with the user's error."""
    task, answer = process.given()
    config = configs.from_json(task["config"])
    try:
        devices = compile_only.devices(task["device"], task["count"])
        mesh = make_mesh(config.mesh.data, config.mesh.snippet, devices)
        wanted = [planning.Candidate(*one) for one in task["wanted"]]
        for plan in planning.plans(config, mesh, wanted):
            answer(dataclasses.asdict(plan))
    except UserError as error:
        answer({"error": str(error)})


if __name__ == "__main__":
    main()
