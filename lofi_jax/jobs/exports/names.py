"""Names that other programs' files can hold."""

import os
import re
from collections.abc import Iterable

from lofi_jax.errors import UserError

# Lines end there, or XML has no way to write them.
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def check(where: str | os.PathLike, what: str, names: Iterable[str]) -> None:
    """Checks names that stand in a text file or in XML.

    Args:
        where: they come from, for the message.
        what: they are of, such as "label".

    Raises:
        UserError: one holds a line break, a control character, or half a character.
    """
    for name in names:
        if found := _REFUSED.search(name):
            raise UserError(
                f"{where}: the {what} {name!r} holds {found[0]!r}, which this layout cannot: rename"
                " it"
            )
