"""Config files by their path, and those that come with the package by their name."""

import pathlib
import runpy

from ml_collections import ConfigDict

from lofi_jax.errors import UserError, there_are


def load(text: str) -> ConfigDict:
    """What a config file's `get_config` returns; one config begins with another by it.

    >>> load("paper/hacs:head=bmn").head.name
    'bmn'

    Args:
        text: as --config has it: a path, or the name of a shipped config, with any arguments behind
            a colon.

    Raises:
        UserError: no such config.
    """
    path, colon, arguments = located(text).partition(":")
    get_config = runpy.run_path(path)["get_config"]
    return get_config(arguments) if colon else get_config()


def located(text: str) -> str:
    """The same with the path of a config that was called by name.

    Raises:
        UserError: no such config.
    """
    name, colon, arguments = text.partition(":")
    if pathlib.Path(name).is_file():
        return text
    known = shipped()
    if name not in known:
        raise UserError(
            f"--config={name}: no such file, and no config of this name comes with lofi_jax:"
            f" {there_are(name, known)}"
        )
    return f"{known[name]}{colon}{arguments}"


def shipped() -> dict[str, pathlib.Path]:
    """The files of the configs that come with the package, by name."""
    folder = pathlib.Path(__file__).parent / "configs"
    if not folder.is_dir():
        folder = folder.parents[1] / "configs"  # beside the package, in a checkout
    files = sorted(folder.rglob("*.py"))
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
