"""Orbax checkpoints of a train state, saved atomically in the background.

A checkpoint's step is also the loader's position: the number of batches taken.
"""

import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from lofi_jax.errors import UserError, naming_full_disk
from lofi_jax.training.groups import merge


class Checkpoints:
    """The checkpoints of one training, in its own folder."""

    def __init__(self, folder: pathlib.Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, state) -> None:
        """Saves a `TrainState` in the background; a restart never sees an unfinished save."""
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
        self._manager.close()


def load_state(path: str | pathlib.Path) -> dict:
    """A checkpoint's train state as nested dicts of NumPy arrays, whatever devices wrote it.

    Where the training kept a running mean of its parameters, "params" are the mean.

    Args:
        path: a folder of checkpoints (the newest is taken), or one checkpoint in it.

    Raises:
        UserError: there is no checkpoint.
    """
    folder = epath.Path(path).absolute()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such checkpoint folder")
    if not (folder / "state").is_dir():
        steps = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())
        if not steps:
            raise UserError(f"{folder}: holds no checkpoint")
        folder = folder / str(steps[-1])
    handler = ocp.PyTreeCheckpointHandler()
    as_numpy = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray), handler.metadata(folder / "state").tree
    )
    state = handler.restore(folder / "state", args=ocp.args.PyTreeRestore(restore_args=as_numpy))
    return state | {"params": merge(state["params"], state.get("ema"))}


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with naming_full_disk(folder), ocp.CheckpointManager(folder) as manager:
            if manager.latest_step() is not None:
                raise UserError(f"{path}: already holds a checkpoint: name another folder")
            manager.save(0, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
