"""Encoders and heads by name: our own, or a third party's."""

import importlib
from collections.abc import Mapping
from typing import Any

from lofi_jax.errors import UserError


def find(known: Mapping[str, Any], name: str, key: str, protocol: type) -> Any:
    """A class by its name among the known ones, or by "package.module:Class".

    Args:
        known: such as `models.HEADS`.
        key: its name for the user, in the message.
        protocol: what a third party's class must fit, such as `protocols.Head`.

    Raises:
        UserError: no such class, or one that does not fit.
    """
    if name in known:
        return known[name]
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"{key} is named {name!r}: choose one of {', '.join(known)}, or package.module:Class"
            f" ({error})"
        ) from error
    # A protocol asks for attributes, which the class of a Flax module has too.
    if not (isinstance(found, type) and isinstance(found, protocol)):
        raise UserError(
            f"{key} is named {name!r}, which is no class of a Flax module that is"
            f" {protocol.__name__}: see lofi_jax/models/protocols.py"
        )
    return found
