"""Configs with some keys changed."""

from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from lofi_jax.config import Config, typed
from lofi_jax.config.typed import to_plain


def changed(config: Config | ConfigDict, changes: Mapping[str, Any]) -> Config:
    """The config with other values, by dotted key or in nested dicts."""
    plain = to_plain(config) if isinstance(config, Config) else config.to_dict()
    other = ConfigDict(plain)
    other.update_from_flattened_dict(flatten_dict(dict(changes), sep="."))
    return typed(other)
