"""The arguments after a config file's colon, as in --config=F:key=value,key=value."""

from collections.abc import Mapping

from lofi_jax.comma_separated import names
from lofi_jax.errors import UserError


def parse(text: str | None, defaults: Mapping[str, str]) -> dict[str, str]:
    """The arguments by name; those not given have their defaults.

    >>> parse("head=bmn", {"head": "gtad", "fidelity": "full"})
    {'head': 'bmn', 'fidelity': 'full'}

    Raises:
        UserError: an unknown argument.
    """
    parts = (part.partition("=") for part in names(text or ""))
    given = {key: value for key, _, value in parts}
    if unknown := sorted(given.keys() - defaults.keys()):
        raise UserError(
            f"--config: unknown argument {unknown[0]!r}: it takes {', '.join(defaults)}"
        )
    return {**defaults, **given}
