"""Plans for devices that are not there, made by their compiler in a separate process."""

import dataclasses
from collections.abc import Iterator, Sequence

from lofi_jax import config as configs
from lofi_jax.config import Config
from lofi_jax.devices import compile_only, process, table
from lofi_jax.errors import UserError
from lofi_jax.jobs.planning.planning import Candidate, Plan

_COMPILER = "lofi_jax.jobs.planning.absent_compiler"


def plans(config: Config, name: str, count: int, wanted: Sequence[Candidate]) -> Iterator[Plan]:
    """As `planning.plans`, for `count` devices that are not there, each plan once.

    A step at which the compiler fails, or ends its process, is a plan that says so.

    Raises:
        UserError: the compiler does not start.
    """
    environment = compile_only.environment(table.find(name).platform)
    left = list(wanted)
    while left:
        task = {"config": configs.to_json(config), "device": name, "count": count, "wanted": left}
        begun = None
        try:
            for answer in process.answers(_COMPILER, task, environment):
                if "error" in answer:
                    raise UserError(answer["error"])
                if begun is None:
                    begun = Plan(**answer)
                    continue
                yield Plan(**answer)
                begun = None
                left.pop(0)
        except process.Ended as error:
            if begun is None:
                raise UserError(f"--device={name}: its compiler {error}") from error
            yield dataclasses.replace(begun, refused=f"the compiler {error}")
            left.pop(0)
