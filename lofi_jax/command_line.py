"""The flags of a command that has a config, and the config's keys among them.

Nothing here imports JAX, so that a command can say that it starts.
"""

import re
import traceback
from collections.abc import Iterator, Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from lofi_jax import shipped
from lofi_jax.errors import UserError

# What stands for "auto": the planner chooses the number.
AUTO = -1
AUTO_KEYS = ("joint.batch_size", "joint.chunk")


def define_config() -> flags.FlagHolder[ConfigDict]:
    """Defines the flag --config, which must be given."""
    shown = f"A config's path, or one of {', '.join(shipped.shipped())}."
    flag = config_flags.DEFINE_config_file("config", None, shown)
    flags.mark_flag_as_required("config")
    return flag


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags of a command that has a config, which a path or a name tells, and the keys
    of it that are set.

    Raises:
        UserError: no such config, or an unknown key in it or on the command line.
    """
    try:
        arguments = flags.FLAGS(list(_rewritten(argv)))
        flags.FLAGS.config.keys()  # raises the error of reading the file
        return arguments
    except OSError as error:
        raise UserError(f"--config: {str(error).splitlines()[-1].strip()}") from error
    except (AttributeError, KeyError) as error:
        if isinstance(error, AttributeError) and not isinstance(error.args[0], KeyError):
            raise
        found = re.search(r"""["'](\w+)\\?["']""", str(error))
        if found is None:
            raise
        key = found[1]
        meant = re.search(r'Did you mean ("\w+")', str(error))
        hint = f": did you mean {meant[1]}?" if meant else ""
        raise UserError(
            f"{_place(error, key, argv)}: the config has no key {key!r}{hint}"
        ) from error


def _rewritten(argv: Sequence[str]) -> Iterator[str]:
    """The arguments, with a config's path for its name, and for "auto" the number that leaves it to
    the planner.
    """
    before = ""
    for argument in argv:
        key, equals, value = argument.partition("=")
        name = key.lstrip("-")
        if before in ("-config", "--config"):
            yield shipped.located(argument)
        elif name == "config" and equals:
            yield f"{key}={shipped.located(value)}"
        elif name.removeprefix("config.") in AUTO_KEYS and value == "auto":
            yield f"{key}={AUTO}"
        else:
            yield argument
        before = argument


def _place(error: Exception, key: str, argv: Sequence[str]) -> str:
    """Where an unknown key is: a line of the config file, or an argument."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.name == "get_config":
            return f"{frame.filename}, line {frame.lineno}"
    return next(a for a in argv if key in a.partition("=")[0].split("."))
