"""A run: one config in one workdir on one mesh of devices. Starting, checking and reopening one."""

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.sharding import Mesh

from lofi_jax import config as configs
from lofi_jax.config import Config
from lofi_jax.config.typed import UnknownKey, from_plain
from lofi_jax.devices import compiled
from lofi_jax.errors import UserError
from lofi_jax.files import read_own_json, write_text
from lofi_jax.run import networks, rerun
from lofi_jax.run.workdir import Workdir
from lofi_jax.training import processes
from lofi_jax.training.session import Session
from lofi_jax.training.sharding import make_mesh

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One config in one workdir on one mesh of devices."""

    config: Config
    workdir: Workdir
    mesh: Mesh
    _made: dict[tuple, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def once(self, make: Callable[..., T], *names: str) -> T:
        """What `make` makes of the run and some names, made when it is first asked for and kept as
        long as the run.
        """
        key = (make, *names)
        if key not in self._made:
            self._made[key] = make(self, *names)
        return self._made[key]

    @property
    def session(self) -> Session:
        config = self.config
        return Session(
            self.mesh,
            config.mesh.parameters,
            config.seed,
            config.data.workers,
            config.log.every,
            config.log.checkpoint_seconds,
        )


def start_run(config: Config, folder: str) -> Run:
    """Checks the config, chooses the devices and the cache of compiled programs; leaves the workdir
    as it is (see `claim`).

    Must run before JAX is used.

    Raises:
        UserError: an impossible config.
    """
    configs.validate(config)
    configs.validate_data(config)
    networks.check(config)
    run = open_run(config, folder)
    processes.end_with_the_others(run.workdir.root)
    return run


def open_run(config: Config, folder: str | pathlib.Path) -> Run:
    """Chooses the devices and the cache of compiled programs. Must run before JAX is used."""
    workdir = Workdir(pathlib.Path(folder).absolute())
    if jax.config.values["jax_num_cpu_devices"] != config.mesh.cpu_devices:
        jax.config.update("jax_num_cpu_devices", config.mesh.cpu_devices)
    keep_compiled(config, workdir)
    return Run(config, workdir, make_mesh(config.mesh.data, config.mesh.snippet))


def keep_compiled(config: Config, workdir: Workdir) -> None:
    """Keeps compiled programs in the run's cache; on a full disk it does without. On a CPU only
    where the config names a folder, see `compiled.are_sound`.

    Raises:
        UserError: the cache is no folder.
    """
    if not config.log.cache_dir and not compiled.are_sound():
        return
    folder = pathlib.Path(config.log.cache_dir or workdir.cache)
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(
            f"{folder}: is no folder, so it keeps no compiled programs: move or delete it, or name"
            " another in config.log.cache_dir"
        )
    warnings.filterwarnings("ignore", message="Error writing persistent compilation cache entry")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def load_run(folder: str | pathlib.Path) -> Run:
    """The run that a workdir holds, on all local devices; JAX's settings are not changed.

    Raises:
        UserError: it holds none.
    """
    workdir = Workdir(pathlib.Path(folder).absolute())
    config = stored_config(workdir.root)
    if config is None:
        missing = workdir.config.name
        raise UserError(f"{workdir.root}: holds no run ({missing} is missing): train one first")
    # It may have been trained on other devices.
    mesh = dataclasses.replace(config.mesh, data=-1, snippet=1)
    devices = make_mesh(mesh.data, mesh.snippet)
    return Run(dataclasses.replace(config, mesh=mesh), workdir, devices)


def stored_config(folder: str | pathlib.Path) -> Config | None:
    """The config of the run that a workdir holds, if it holds one.

    Raises:
        UserError: it is damaged, or of another version.
    """
    path = Workdir(pathlib.Path(folder)).config
    if not path.exists():
        return None
    content = read_own_json(path)
    try:
        config = from_plain(content)
        configs.validate(config)
        return config
    except UnknownKey as error:
        raise UserError(
            f"{path}: {error}, so another version of lofi_jax wrote it: use that version, or"
            " another workdir"
        ) from error
    except UserError as error:
        raise UserError(
            f"{path}: damaged ({error}): delete it, and start lofi_jax.main with the same config"
        ) from error


def claim(run: Run, again: tuple[str, ...]) -> None:
    """Writes the config into the workdir, or compares it with the one that is there; makes room for
    stages that are done anew. For the workdir's only writer.

    Args:
        again: stages to start anew (see rerun.py): what they have made is deleted.

    Raises:
        UserError: a workdir that cannot be written, or one that holds another config's run.
    """
    workdir, config = run.workdir, run.config
    stored = stored_config(workdir.root)
    differing = configs.differing_keys(stored, config) if stored else {}
    stages = {key: rerun.stage_of(key) for key in differing}
    if not all(rerun.covers(again, stage) for stage in stages.values()):
        changes = "; ".join(f"{k}: {a!r} -> {b!r}" for k, (a, b) in differing.items())
        known = [stage for stage in stages.values() if stage is not None]
        anew = ""
        if len(known) == len(stages):
            first = min(known, key=rerun.STAGES.index)
            anew = f", or start the stage anew with --rerun={first}"
        raise UserError(
            f"{workdir.root} holds a run of another config ({changes}): name another --workdir,"
            f" or change these keys back{anew}"
        )
    for name in rerun.discard(workdir, again):
        print(f"rerun: {name} is made anew")
    try:
        write_text(workdir.config, configs.to_json(config))
    except UserError as error:
        raise UserError(f"{error}, or name another --workdir") from error
