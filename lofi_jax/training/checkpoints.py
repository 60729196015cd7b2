"""Orbax checkpoints of a train state, saved atomically in the background.

A checkpoint's step is also the loader's position: the number of batches taken.
"""

import hashlib
import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from lofi_jax.errors import UserError, first, naming_full_disk, one_line, warn
from lofi_jax.files import naming_unwritable, read_bytes, read_own_json, try_to_fill, write_json
from lofi_jax.training.groups import merge
from lofi_jax.training.processes import is_first, place, wait

_DIGESTS = "digests.json"


class Checkpoints:
    """The checkpoints of one training, in its own folder."""

    def __init__(self, folder: pathlib.Path):
        if is_first():
            try_to_fill(folder)
            latest_sound(folder)
        wait(f"{folder}: looked through")
        self._folder = folder
        options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, state) -> None:
        """Saves a `TrainState` in the background; a restart never sees an unfinished save."""
        self._manager.wait_until_finished()
        self._seal()
        if place()[1] == 1:
            # Of arrays on devices Orbax would compile a slice for each shape. A copy: the next step
            # takes the memory.
            state = jax.tree.map(np.array, state)
        self._manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))

    def restore(self, state):
        """The newest checkpoint's state, sharded like `state`."""
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, state)),
        )
        return self._manager.restore(self.latest_step(), args=items)["state"]

    def preempted(self, step: int) -> bool:
        """Whether the processes have agreed to stop after this step, since one received SIGTERM."""
        return self._manager.reached_preemption(step)

    def close(self) -> None:
        """Waits for pending saves."""
        self._manager.wait_until_finished()
        self._seal()
        self._manager.close()

    def _seal(self) -> None:
        if is_first():
            _seal(self._folder)


def load_state(path: str | pathlib.Path) -> dict:
    """A checkpoint's train state as nested dicts of NumPy arrays, whatever devices wrote it.

    Where the training kept a running mean of its parameters, "params" are the mean.

    Args:
        path: a folder of checkpoints (the newest is taken), or one checkpoint in it.

    Raises:
        UserError: there is no checkpoint, or it is damaged.
    """
    folder = pathlib.Path(path).absolute()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such checkpoint folder")
    if not (folder / "state").is_dir():
        steps = _steps(folder)
        if not steps:
            raise UserError(f"{folder}: holds no checkpoint")
        folder = folder / str(steps[-1])
    _check_digests(folder)
    handler, state = ocp.PyTreeCheckpointHandler(), epath.Path(folder / "state")
    try:
        as_numpy = jax.tree.map(
            lambda _: ocp.RestoreArgs(restore_type=np.ndarray), handler.metadata(state).tree
        )
        restored = handler.restore(state, args=ocp.args.PyTreeRestore(restore_args=as_numpy))
    except Exception as error:  # What damaged files lead to has no one type.
        raise _damaged(folder, one_line(str(error))) from error
    return restored | {"params": merge(restored["params"], restored.get("ema"))}


def latest_sound(folder: pathlib.Path) -> int | None:
    """The step of the newest checkpoint in a training's folder that can be read. Damaged ones after
    it are set aside, with a warning, so that the training goes on from it.
    """
    for step in reversed(_steps(folder)):
        try:
            load_state(folder / str(step))
            return step
        except UserError as error:
            aside = folder / f"damaged.{step}"
            warn([f"{error}; set aside as {aside.name}"])
            shutil.rmtree(aside, ignore_errors=True)
            (folder / str(step)).rename(aside)
    return None


def _steps(folder: pathlib.Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def _seal(folder: pathlib.Path) -> None:
    """Notes a digest of each file of the complete checkpoints that have none yet: Orbax does not
    notice when a bit of an array has changed.
    """
    for step in _steps(folder):
        if not (note := folder / str(step) / _DIGESTS).exists():
            write_json(note, _digests(note.parent))


def _digests(checkpoint: pathlib.Path) -> dict[str, str]:
    files = (path for path in sorted(checkpoint.rglob("*")) if path.is_file())
    return {
        path.relative_to(checkpoint).as_posix(): hashlib.sha256(read_bytes(path)).hexdigest()
        for path in files
        if path.name != _DIGESTS
    }


def _check_digests(checkpoint: pathlib.Path) -> None:
    if not (checkpoint / _DIGESTS).exists():
        return  # a kill came before it, or another program wrote the checkpoint
    noted, found = read_own_json(checkpoint / _DIGESTS), _digests(checkpoint)
    if noted != found:
        noted = noted if isinstance(noted, dict) else {}
        changed = [name for name in {**noted, **found} if noted.get(name) != found.get(name)]
        raise _damaged(checkpoint, f"{first(changed)} changed after it was written")


def _damaged(checkpoint: pathlib.Path, reason: str) -> UserError:
    return UserError(f"{checkpoint}: a damaged checkpoint ({reason})")


def try_to_save(path: str | pathlib.Path) -> None:
    """Finds out, before the work, whether `save_state` can write there; raises as it does."""
    try_to_fill(path)
    if _steps(pathlib.Path(path)):
        raise UserError(f"{path}: already holds a checkpoint: name another folder")


def save_state(path: str | pathlib.Path, params: dict, batch_stats: dict) -> None:
    """Atomically writes a checkpoint that `load_state` reads.

    Args:
        path: the folder of checkpoints to make.
        params, batch_stats: as in a `TrainState`, nested dicts of arrays.

    Raises:
        UserError: the folder holds a checkpoint, or cannot be written.
    """
    folder = pathlib.Path(path).absolute()
    state = {"params": params, "batch_stats": batch_stats}
    with naming_unwritable(path):
        folder.mkdir(parents=True, exist_ok=True)
        with naming_full_disk(folder), ocp.CheckpointManager(folder) as manager:
            try_to_save(folder)
            manager.save(0, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
