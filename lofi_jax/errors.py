"""Errors that speak to the user, and the one way a command ends on them."""

import sys
from collections.abc import Callable, Sequence

from absl import app, logging


class UserError(Exception):
    """Something the user can mend: one line that names the file, video or key, and what to do."""


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a command under absl; a `UserError` becomes one line on stderr and exit code 2."""

    def guarded(argv: Sequence[str]) -> None:
        # The libraries' own notes on what they save and restore are for their developers.
        logging.set_verbosity(logging.WARNING)
        try:
            main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    app.run(guarded)
