"""Configs with some keys changed."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from lofi_jax.config import Config, typed
from lofi_jax.config.typed import to_plain


def changed(config: Config | ConfigDict, changes: Mapping[str, Any]) -> Config:
    """The config with other values, by dotted key."""
    plain = to_plain(config) if isinstance(config, Config) else config.to_dict()
    other = ConfigDict(plain)
    other.update_from_flattened_dict(dict(changes))
    return typed(other)
