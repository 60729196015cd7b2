"""The flags of a command that has a config, and the config's keys among them.

Nothing here imports JAX, so that a command can say that it starts.
"""

import itertools
import re
import traceback
from collections.abc import Iterator, Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from lofi_jax import shipped
from lofi_jax.auto import AUTO, AUTO_KEYS
from lofi_jax.errors import UserError, as_usage, one_line

_CONFIG = ("-config", "--config")

flags.disclaim_key_flags()  # a flag that is defined here is its command's, whose help lists it


def define_config() -> flags.FlagHolder[ConfigDict]:
    """Defines the flag --config, which must be given."""
    shown = f"A config's path, or one of {', '.join(shipped.shipped())}."
    flag = config_flags.DEFINE_config_file("config", None, shown)
    flags.mark_flag_as_required("config")
    return flag


@as_usage()
def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags of a command that has a config, which a path or a name tells, and the keys
    of it that are set. Of several configs the last counts.

    Raises:
        UserError: no such config, or an unknown key in it or on the command line.
    """
    argv = _with_one_config(argv)
    try:
        arguments = flags.FLAGS(list(_rewritten(argv)))
        flags.FLAGS.config.keys()  # raises the error of reading the file
        return arguments
    except (flags.Error, UserError) as error:
        path = _config(argv)
        if path and flags.FLAGS["config"].value is None and isinstance(error, flags.Error):
            raise UserError(f"{path}: get_config() returned None, not a ConfigDict") from error
        raise
    except SystemExit as error:
        code = f"exit code {error.code}"
        raise UserError(f"{_config(argv)}: the file ends the program ({code})") from error
    except OSError as error:
        raise UserError(f"--config: {str(error).splitlines()[-1].strip()}") from error
    except (AttributeError, KeyError) as error:
        known = isinstance(error, KeyError) or isinstance(error.args[0], KeyError)
        # <class 'int'>.key is a key below a value.
        found = (
            re.search(r"""(?<=>\.)\w+|(?<=["'])\w+(?=\\?["'])(?!'>)""", str(error))
            if known
            else None
        )
        place = _place(error, found[0] if found else "", argv)
        if found is None:
            raise UserError(f"{place}: no config ({one_line(str(error))})") from error
        meant = re.search(r'Did you mean ("\w+")', str(error))
        hint = f": did you mean {meant[1]}?" if meant else ""
        raise UserError(f"{place}: the config has no key {found[0]!r}{hint}") from error
    except Exception as error:  # a config file is a program
        place = _place(error, "", argv)
        raise UserError(f"{place}: {type(error).__name__}: {one_line(str(error))}") from error


def _rewritten(argv: Sequence[str]) -> Iterator[str]:
    """The arguments, with a config's path for its name, and for "auto" the number that leaves it to
    the planner.
    """
    before = ""
    for argument in argv:
        key, equals, value = argument.partition("=")
        name = key.lstrip("-")
        if before in _CONFIG:
            yield shipped.located(argument)
        elif key in _CONFIG and equals:
            yield f"{key}={shipped.located(value)}"
        elif name.removeprefix("config.") in AUTO_KEYS and value == "auto":
            yield f"{key}={AUTO}"
        else:
            yield argument
        before = argument


def _with_one_config(argv: Sequence[str]) -> list[str]:
    """The arguments with the last --config alone; the flag's library would read the files into one
    module, where a name that is missing from one comes from another.
    """
    places = [i for i, argument in enumerate(argv) if argument.partition("=")[0] in _CONFIG]
    dropped = set(places[:-1])
    dropped |= {i + 1 for i in dropped if argv[i] in _CONFIG}  # its value stands behind it
    return [argument for i, argument in enumerate(argv) if i not in dropped]


def _config(argv: Sequence[str]) -> str:
    """What the one --config of the arguments names, if there is one."""
    for argument, following in itertools.pairwise([*argv, ""]):
        flag, equals, value = argument.partition("=")
        if flag in _CONFIG:
            return value if equals else following
    return ""


def _place(error: Exception, key: str, argv: Sequence[str]) -> str:
    """Where an error is: a line of the config file, or an argument."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.name == "get_config":
            return f"{frame.filename}, line {frame.lineno}"
    with_key = (a for a in argv if key in a.partition("=")[0].split("."))
    nested = (a for a in argv if a.lstrip("-").startswith("config."))
    return next(
        itertools.chain(with_key, nested if key else (), (a for a in argv if "config" in a))
    )
