"""Encoders and heads by name: our own, or a third party's."""

import importlib
from collections.abc import Mapping
from typing import Any

from lofi_jax.errors import UserError


def find(known: Mapping[str, Any], name: str, key: str) -> Any:
    """A class by its name among the known ones, or by "package.module:Class".

    Args:
        known: such as `models.HEADS`.
        key: its name for the user, in the message.

    Raises:
        UserError: no such class.
    """
    if name in known:
        return known[name]
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"{key} is named {name!r}: choose one of {', '.join(known)}, or package.module:Class"
            f" ({error})"
        ) from error
