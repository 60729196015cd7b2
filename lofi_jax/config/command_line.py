"""Parsing the flags of a command that takes a config file, including the config's own keys."""

import re
import traceback
from collections.abc import Sequence

from absl import flags

from lofi_jax.config.settings import AUTO, AUTO_KEYS
from lofi_jax.errors import UserError


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags of a command that takes a config file, and the config keys set there.

    Raises:
        UserError: no such config file, or an unknown key in it or on the command line.
    """
    try:
        arguments = flags.FLAGS([_number(argument) for argument in argv])
        flags.FLAGS.config.keys()  # raises the error of reading the file
        return arguments
    except OSError as error:
        raise UserError(f"--config: {str(error).splitlines()[-1].strip()}") from error
    except (AttributeError, KeyError) as error:
        if isinstance(error, AttributeError) and not isinstance(error.args[0], KeyError):
            raise
        key = re.search(r"""["'](\w+)\\?["']""", str(error))[1]
        meant = re.search(r'Did you mean ("\w+")', str(error))
        hint = f": did you mean {meant[1]}?" if meant else ""
        raise UserError(
            f"{_place(error, key, argv)}: the config has no key {key!r}{hint}"
        ) from error


def _number(argument: str) -> str:
    """Replaces "auto" by the number that stands for it, in an argument that the planner may
    choose.
    """
    key, _, value = argument.partition("=")
    known = key.lstrip("-").removeprefix("config.") in AUTO_KEYS
    return f"{key}={AUTO}" if known and value == "auto" else argument


def _place(error: Exception, key: str, argv: Sequence[str]) -> str:
    """Where an unknown key is: a line of the config file, or an argument."""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.name == "get_config":
            return f"{frame.filename}, line {frame.lineno}"
    return next(a for a in argv if key in a.partition("=")[0].split("."))
