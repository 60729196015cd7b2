"""Where the weights of a run's encoders and heads come from."""

import pathlib
from collections.abc import Container
from typing import Any

import jax

from lofi_jax.config import Config
from lofi_jax.config.rows import Row
from lofi_jax.errors import UserError
from lofi_jax.models.protocols import Encoder, by_path
from lofi_jax.run.networks import initial_encoder, make_encoder_of, naming, snippet_shape
from lofi_jax.run.start import Run
from lofi_jax.training import folders
from lofi_jax.training.checkpoints import load_state
from lofi_jax.training.networks import initial_variables

# The encoder that each start is trained from. ICP is the initial encoder. ACP learns the source's
# action classes from ICP. ACP+ is fine-tuned from ACP on the target's own foreground segments.
# Arrow of Time and SpeedNet learn a clip's direction or speed from ICP.
ORIGIN = {"acp": "icp", "acp_plus": "acp", "arrow_of_time": "icp", "speednet": "icp"}


def of_head(run: Run, row: Row) -> pathlib.Path:
    """The checkpoints of a row's head: its own training's, or the one that the config names
    instead.
    """
    own = folders.checkpoints(run.workdir.head(row))
    given = run.config.head_checkpoint
    return folders.of_checkpoints(pathlib.Path(given)) if given else own


def of_encoder(run: Run, encoder: str) -> pathlib.Path:
    """The checkpoints of an encoder: its own training's, or the one that the config names
    instead.
    """
    if encoder == "acp" and run.config.encoder_checkpoint:
        return folders.of_checkpoints(pathlib.Path(run.config.encoder_checkpoint))
    return folders.checkpoints(run.workdir.encoder(encoder))


def encoder_variables(run: Run, encoder: str) -> dict[str, Any]:
    """The variables of a trained encoder, or of "icp", which needs no training.

    Raises:
        UserError: it has not been made.
    """
    config = run.config
    if encoder != "icp":
        return load_own_encoder(config, of_encoder(run, encoder), encoder)
    if config.initial_checkpoint:
        return load_own_encoder(config, config.initial_checkpoint, encoder)
    return initial_encoder(config, jax.random.split(jax.random.key(config.seed))[0], encoder)


def load_encoder(path: str | pathlib.Path) -> dict[str, Any]:
    """Encoder variables from any training's checkpoint.

    Raises:
        UserError: there is no checkpoint, or it holds no encoder.
    """
    state = load_state(folders.of_checkpoints(pathlib.Path(path)))
    if "encoder" not in state["params"]:
        raise UserError(f"{path}: holds no encoder (its parts: {', '.join(state['params'])})")
    return {"params": state["params"]["encoder"], "batch_stats": state["batch_stats"]}


def load_own_encoder(
    config: Config, path: str | pathlib.Path, start: str = "lofi"
) -> dict[str, Any]:
    """Encoder variables from a checkpoint of the config's own encoder, as a start has it.

    Raises:
        UserError: as `load_encoder`, or it holds another encoder.
    """
    named = f"config.encoder ({config.encoder.name})"
    return load_encoder_of(make_encoder_of(config, start), snippet_shape(config), path, named)


def load_encoder_of(
    encoder: Encoder, shape: tuple[int, int, int, int], path: str | pathlib.Path, named: str
) -> dict[str, Any]:
    """Encoder variables from a checkpoint of a given network.

    Args:
        encoder: the network.
        shape: (T, H, W, 3) of a snippet.
        path: of the checkpoint.
        named: the network's name for the user.

    Raises:
        UserError: as `load_encoder`, it holds another encoder, or the network cannot work.
    """
    loaded = _without(getattr(encoder, "beyond", ()), load_encoder(path))
    with naming("encoder", named, f"snippets of {shape}"):
        wanted = jax.eval_shape(lambda: initial_variables(encoder, shape, jax.random.key(0)))
    there, here = (
        {name: x.shape for name, x in by_path(tree).items()} for tree in (loaded, wanted)
    )
    if there != here:
        name = next(name for name in {**here, **there} if there.get(name) != here.get(name))
        raise UserError(
            f"{path}: holds an encoder other than {named}: {name} is"
            f" {there.get(name, 'missing')}, not {here.get(name, 'expected')}: give the name and"
            " options it was made with"
        )
    return loaded


def _without(modules: Container[str], variables: dict[str, Any]) -> dict[str, Any]:
    """Variables without some modules, as of the whole network where an encoder ends before them."""
    return {
        kind: {name: x for name, x in tree.items() if name not in modules}
        for kind, tree in variables.items()
    }
