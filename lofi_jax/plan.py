"""Which fidelities, batch sizes and chunks of joint training fit into a device's memory, and what
they cost.

python -m lofi_jax.plan --config=configs/paper/activitynet.py --device=h100

Compiles the config's own train step, without allocating or running anything, and prints a table.
The best rows come first: those that fit, at high fidelity, in large batches, with little
recomputation. --device=NAME plans for devices that are not there, with their own compiler;
otherwise the plan is for the local device. On the CPU it is for one device, with the figures of
XLA's CPU compiler.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from absl import flags

from lofi_jax import errors
from lofi_jax.bounds import Range, define_float
from lofi_jax.comma_separated import names
from lofi_jax.command_line import define_config, parse_flags
from lofi_jax.config import AUTO, DTYPES, typed, validate
from lofi_jax.devices.table import DEVICES
from lofi_jax.files import try_to_write, write_json
from lofi_jax.jobs.planning import auto, machines, planning
from lofi_jax.reports import tables
from lofi_jax.run import networks
from lofi_jax.training.progress import Progress
from lofi_jax.training.sharding import DATA

_CONFIG = define_config()
_MEMORY = define_float("memory_gib", 0.0, "Of one device, in GiB; 0: all it has.", Range())
_DEVICE = flags.DEFINE_string("device", None, f"One of {', '.join(DEVICES)}.")
_COUNT = flags.DEFINE_integer("devices", None, "How many of --device; default: 1.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")
_BATCH_SIZES = flags.DEFINE_string("batch_sizes", None, "Default: 1 and the config's.")
_CHUNKS = flags.DEFINE_string("chunks", "0,25,5", "Snippets at once; 0: all.")
_FIDELITIES = flags.DEFINE_string("fidelities", ",".join(planning.FIDELITIES), "At which.")
_DTYPES = flags.DEFINE_string("dtypes", None, "Default: the config's.")


def main() -> None:
    config = typed(_CONFIG.value)
    if _OUTPUT.value:
        try_to_write(_OUTPUT.value)
    if config.joint.batch_size == AUTO:
        config = planning.with_joint(config, batch_size=max(auto.BATCH_SIZES))
    batch_sizes = _numbers("batch_sizes", _BATCH_SIZES.value or f"1,{config.joint.batch_size}", 1)
    chunks = _numbers("chunks", _CHUNKS.value, 0)
    dtypes = names(_DTYPES.value or config.dtype)
    if not set(dtypes) <= set(DTYPES):
        raise errors.UsageError(f"--dtypes={_DTYPES.value}: choose from {', '.join(DTYPES)}")
    validate(config)
    networks.check(config)
    fidelities = names(_FIDELITIES.value)
    if not set(fidelities) <= set(planning.FIDELITIES):
        raise errors.UsageError(
            f"--fidelities={_FIDELITIES.value}: choose from {', '.join(planning.FIDELITIES)}"
        )
    if _DEVICE.value:
        count = 1 if _COUNT.value is None else _COUNT.value
        machine = machines.elsewhere(config, _DEVICE.value, count)
    elif _COUNT.value is None:
        machine = machines.at_hand(config)
    else:
        raise errors.UsageError(f"--devices={_COUNT.value}: name the kind of device with --device")
    sizes = (batch_sizes, chunks, dtypes)
    candidates = planning.candidates(config, machine.mesh, fidelities, *sizes)
    if not candidates:
        raise errors.UsageError(
            f"--batch_sizes={_BATCH_SIZES.value}: none can be spread over"
            f" {machine.mesh[DATA]} devices"
        )
    limit = _MEMORY.value or machine.memory_gib
    print(machine.about, flush=True)
    rows = sorted(_rows(machine, candidates, limit), key=rank)
    print(tables.plan(rows))
    if machine.facts is not None:
        print("bound: the least seconds that the device's peak rates allow, not an estimate")
    if _OUTPUT.value:
        told = {"device": machine.kind, "rows": [_finite(row) for row in rows]}
        write_json(_OUTPUT.value, told, indent=1)
    if not any(row["fits"] for row in rows):
        raise errors.UserError(f"nothing fits into --memory_gib={limit:g}: {_least(rows)}")


def _rows(
    machine: machines.Machine, candidates: Sequence[planning.Candidate], limit: float
) -> Iterator[dict]:
    """One row of the table per plan."""
    progress = Progress("compile", len(candidates))
    for done, plan in enumerate(machine.plans(candidates), 1):
        progress.show(done, {})
        fits = not plan.refused and plan.peak_gib <= limit
        yield dataclasses.asdict(plan) | {"bound_seconds": machine.bound(plan), "fits": fits}
    progress.close()


def _finite(row: dict) -> dict:
    """A row for JSON: null for what is unknown."""
    return {key: None if value == math.inf else value for key, value in row.items()}


def _least(rows: Sequence[dict]) -> str:
    """Describes the step that takes the least memory."""
    least = min(rows, key=lambda row: row["peak_gib"])
    if least["peak_gib"] == math.inf:
        return f"no step could be compiled ({least['refused']})"
    return (
        f"the smallest, {least['fidelity']} with batch_size {least['batch_size']} and chunk"
        f" {least['chunk']}, takes {least['peak_gib']:.2f} GiB; try smaller --chunks, or lower"
        " config.joint.factors"
    )


def _numbers(flag: str, text: str, least: int) -> list[int]:
    try:
        numbers = [int(number) for number in names(text)]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < least:
        raise errors.UsageError(
            f"--{flag}={text}: give integers of at least {least}, separated by commas"
        )
    return numbers


def rank(row: dict) -> tuple:
    """Sort key: what fits first, then high fidelity, large batches, little work, little memory."""
    pixels = row["snippets"] * row["height"] * row["width"]
    costs = (row["tflop"], row["peak_gib"])
    return (not row["fits"], -pixels, row["fidelity"], -row["batch_size"], *costs)


if __name__ == "__main__":
    errors.run(main, parse_flags)
