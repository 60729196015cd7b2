"""What "auto" means in a config's joint stage: the largest batch size and chunk that fit into a
device.
"""

import math

from jax.sharding import Mesh

from lofi_jax import config as configs
from lofi_jax.config import AUTO, Config, fidelities
from lofi_jax.config.rows import Row
from lofi_jax.errors import UserError
from lofi_jax.fidelity import Fidelity
from lofi_jax.jobs.planning.planning import divisor, lofi_rows, measure, with_joint
from lofi_jax.run.divisibility import check_joint
from lofi_jax.run.networks import pieces
from lofi_jax.run.start import open_run, stored_config
from lofi_jax.training import memory
from lofi_jax.training.sharding import DATA, SNIPPET

# Tried from the largest.
BATCH_SIZES = (16, 8, 4, 2, 1)
CHUNKS = (25, 10, 5, 2, 1)


def resolve(config: Config, workdir: str) -> Config:
    """The config with a batch size or chunk of "auto" replaced by the planner's choice.

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
        chosen = {"batch_size": stored.joint.batch_size, "chunk": stored.joint.chunk}
    else:
        chosen = choose(config, open_run(config, workdir).mesh)
        print(f"joint: batch_size={chosen['batch_size']} chunk={chosen['chunk']} fit")
    wanted = {key: value for key, value in chosen.items() if getattr(settings, key) == AUTO}
    return with_joint(config, **wanted)


def advice(config: Config, mesh: Mesh) -> str:
    """Largest batch and chunk expected to fit after an out-of-memory error."""
    failed = max(measure(config, mesh, row, at).peak_gib for row, at in _steps(config))
    limit = min(_limit_gib(config), 0.9 * failed)
    wanted = with_joint(config, batch_size=AUTO, chunk=AUTO, memory_gib=limit)
    try:
        chosen = choose(wanted, mesh)
    except UserError as error:
        return str(error)
    keys = " and ".join(f"config.joint.{key}={value}" for key, value in chosen.items())
    return f"{keys} would fit"


def _limit_gib(config: Config) -> float:
    """The device memory that joint training may use, in GiB."""
    return config.joint.memory_gib or memory.limit_gib()


def _steps(config: Config) -> list[tuple[Row, Fidelity]]:
    """Every joint row at every fidelity of its schedule."""
    return [(row, at) for row in lofi_rows(config) for at in fidelities(config, row.fidelity)]


def choose(config: Config, mesh: Mesh) -> dict[str, int]:
    """The largest batch size, then the largest chunk, with which all joint rows fit into a device's
    memory.

    Raises:
        UserError: not even the smallest fit.
    """
    smallest, limit, steps = math.inf, _limit_gib(config), _steps(config)
    common = math.gcd(*(pieces(config, at) for _, at in steps)) // mesh.shape[SNIPPET]
    least = mesh.shape[DATA] * config.joint.accumulate
    sizes = [n for n in BATCH_SIZES if n % least == 0] or [least]
    if config.joint.batch_size != AUTO:
        sizes = [config.joint.batch_size]
    chunks = list(dict.fromkeys((0, *(divisor(common, n) for n in CHUNKS))))
    if config.joint.chunk != AUTO:
        chunks = [config.joint.chunk]
    for batch_size in sizes:
        for chunk in chunks:
            candidate = with_joint(config, batch_size=batch_size, chunk=chunk)
            check_joint(candidate, mesh, [at for _, at in steps])
            needed = max(measure(candidate, mesh, row, at).peak_gib for row, at in steps)
            if needed <= limit:
                return {"batch_size": batch_size, "chunk": chunk}
            smallest = min(smallest, needed)
    raise UserError(
        f"no joint step fits into {limit:.2f} GiB, the smallest takes {smallest:.2f} GiB: lower"
        " config.joint.fidelity, or set both batch_size and chunk to auto"
    )
