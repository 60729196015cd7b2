"""What "auto" stands for in a config's joint stage: the largest batch size and chunk that fit into a device."""

import dataclasses
import math
import pathlib

from ml_collections import ConfigDict

from lofi_jax import config as configs
from lofi_jax.config import AUTO
from lofi_jax.errors import UserError
from lofi_jax.fidelity import Fidelity
from lofi_jax.rows import Row
from lofi_jax.stages.divisions import check_joint, fidelities
from lofi_jax.stages.planning import changed, divisor, lofi_rows, measure
from lofi_jax.stages.setup import Run, open_run, stored_config
from lofi_jax.training import memory
from lofi_jax.training.sharding import DATA, SNIPPET

# Tried from the largest on.
BATCH_SIZES = (16, 8, 4, 2, 1)
CHUNKS = (25, 10, 5, 2, 1)


def resolve(config: ConfigDict, workdir: str) -> ConfigDict:
    """The config with what it leaves to the planner filled in: a batch size or a chunk of "auto".

    A workdir that holds a run keeps what was chosen there. Must run before JAX is used.

    Raises:
        UserError: an impossible config, or nothing fits.
    """
    settings = config.joint
    if AUTO not in (settings.batch_size, settings.chunk):
        return config
    configs.validate(config)
    stored = stored_config(workdir)
    if stored is not None:
        chosen = {key: stored.joint[key] for key in ("batch_size", "chunk")}
    else:
        chosen = choose(open_run(config, pathlib.Path(workdir).absolute()))
        print(f"joint: batch_size={chosen['batch_size']} chunk={chosen['chunk']} fit")
    filled = config.copy_and_resolve_references()
    for key, value in chosen.items():
        if settings[key] == AUTO:
            filled.joint[key] = value
    return filled


def advice(run: Run) -> str:
    """What would have fitted, in one whose joint step did not: clearly less than it, whatever the device says."""
    failed = max(measure(run, row, at).peak_gib for row, at in _steps(run.config))
    limit = min(_limit_gib(run.config), 0.9 * failed)
    wanted = dict(batch_size=AUTO, chunk=AUTO, memory_gib=limit)
    try:
        chosen = choose(dataclasses.replace(run, config=changed(run.config, joint=wanted)))
    except UserError as error:
        return str(error)
    keys = " and ".join(f"config.joint.{key}={value}" for key, value in chosen.items())
    return f"{keys} would fit"


def _limit_gib(config: ConfigDict) -> float:
    """The memory of a device that joint training may take, in GiB."""
    return config.joint.memory_gib or memory.limit_gib()


def _steps(config: ConfigDict) -> list[tuple[Row, Fidelity]]:
    """Every joint row at every fidelity that it goes through."""
    return [(row, at) for row in lofi_rows(config) for at in fidelities(config, row.fidelity)]


def choose(run: Run) -> dict[str, int]:
    """The largest batch size, and with it the largest chunk, at which all joint rows fit into a device's memory.

    Raises:
        UserError: not even the smallest ones do.
    """
    config, smallest = run.config, math.inf
    limit, steps = _limit_gib(config), _steps(config)
    common = math.gcd(*(at.snippets for _, at in steps)) // run.mesh.shape[SNIPPET]
    least = run.mesh.shape[DATA] * config.joint.accumulate
    sizes = [n for n in BATCH_SIZES if n % least == 0] or [least]
    if config.joint.batch_size != AUTO:
        sizes = [config.joint.batch_size]
    chunks = list(dict.fromkeys((0, *(divisor(common, n) for n in CHUNKS))))
    if config.joint.chunk != AUTO:
        chunks = [config.joint.chunk]
    for batch_size in sizes:
        for chunk in chunks:
            settings = dict(batch_size=batch_size, chunk=chunk)
            candidate = dataclasses.replace(run, config=changed(config, joint=settings))
            check_joint(candidate, [at for _, at in steps])
            needed = max(measure(candidate, row, at).peak_gib for row, at in steps)
            if needed <= limit:
                return {"batch_size": batch_size, "chunk": chunk}
            smallest = min(smallest, needed)
    raise UserError(
        f"no joint step fits into {limit:.2f} GiB, the smallest takes {smallest:.2f} GiB: lower"
        " config.joint.fidelity, or leave batch_size and chunk both to auto"
    )
