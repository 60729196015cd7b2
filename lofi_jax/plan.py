"""Which fidelities, batch sizes and chunks of joint training fit into a device's memory, and at what cost.

python -m lofi_jax.plan --config=configs/paper/activitynet.py --memory_gib=16

Compiles the config's own train step for the device at hand, without allocating or running anything, and prints a table,
the best first: what fits, at high fidelity, in large batches, with little computed twice. On the CPU one device is
planned for, and the figures are those of XLA's CPU compiler.
"""

import dataclasses
import json
import pathlib

import jax
from absl import flags
from ml_collections import config_flags

from lofi_jax import errors
from lofi_jax.config import AUTO, DTYPES, parse_flags, validate
from lofi_jax.config.rows import names
from lofi_jax.jobs import auto, planning
from lofi_jax.reports import tables
from lofi_jax.run.workdir import Run, check_models
from lofi_jax.training.progress import Progress
from lofi_jax.training.sharding import DATA, make_mesh

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file under configs/.")
_MEMORY = flags.DEFINE_float("memory_gib", None, "Memory of one device, in GiB.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")
_BATCH_SIZES = flags.DEFINE_string("batch_sizes", None, "Default: 1 and the config's.")
_CHUNKS = flags.DEFINE_string("chunks", "0,25,5", "Snippets at once; 0: all.")
_DTYPES = flags.DEFINE_string("dtypes", None, "Default: the config's.")


def main(argv):
    if len(argv) > 1:
        raise errors.UserError(f"unexpected arguments {argv[1:]}: write --name=value")
    config = _CONFIG.value
    if config.joint.batch_size == AUTO:
        config.joint.batch_size = max(auto.BATCH_SIZES)
    batch_sizes = _numbers("batch_sizes", _BATCH_SIZES.value or f"1,{config.joint.batch_size}", 1)
    chunks = _numbers("chunks", _CHUNKS.value, 0)
    dtypes = names(_DTYPES.value or config.dtype)
    if not set(dtypes) <= set(DTYPES):
        raise errors.UserError(f"--dtypes={_DTYPES.value}: choose of {', '.join(DTYPES)}")
    validate(config)
    check_models(config)
    # Of the CPU, as of one card: one device.
    one = jax.default_backend() == "cpu"
    mesh = make_mesh(1, 1) if one else make_mesh(config.mesh.data, config.mesh.snippet)
    run = Run(config, pathlib.Path(), mesh)
    candidates = planning.candidates(run, batch_sizes, chunks, dtypes)
    if not candidates:
        raise errors.UserError(
            f"--batch_sizes={_BATCH_SIZES.value}: none can be spread over {mesh.shape[DATA]} devices"
        )
    progress, found = Progress("compile", len(candidates)), []
    for plan in planning.plans(run, candidates):
        found.append(plan)
        progress.show(len(found), {})
    progress.close()
    rows = [dataclasses.asdict(p) | {"fits": p.peak_gib <= _MEMORY.value} for p in found]
    rows.sort(key=rank)
    print(tables.plan(rows))
    device = jax.devices()[0].device_kind
    if _OUTPUT.value:
        text = json.dumps({"device": device, "rows": rows}, indent=1)
        pathlib.Path(_OUTPUT.value).write_text(text)
    if not any(row["fits"] for row in rows):
        least = min(rows, key=lambda row: row["peak_gib"])
        raise errors.UserError(
            f"nothing fits into --memory_gib={_MEMORY.value}: the smallest, {least['fidelity']} with"
            f" batch_size {least['batch_size']} and chunk {least['chunk']}, takes"
            f" {least['peak_gib']:.2f} GiB; try smaller --chunks, or lower config.joint.factors"
        )


def _numbers(flag: str, text: str, least: int) -> list[int]:
    try:
        numbers = [int(number) for number in names(text)]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < least:
        raise errors.UserError(f"--{flag}={text}: whole numbers from {least}, separated by commas")
    return numbers


def rank(row: dict) -> tuple:
    """A row's place: what fits first; then high fidelity, large batches, little work, little memory."""
    pixels = row["snippets"] * row["height"] * row["width"]
    costs = (row["tflop"], row["peak_gib"])
    return (not row["fits"], -pixels, row["fidelity"], -row["batch_size"], *costs)


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "memory_gib"])
    errors.run(main, parse_flags)
