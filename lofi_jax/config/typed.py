"""A config in its two forms: the ConfigDict that files and command lines change, and the value for
all the rest.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from lofi_jax.config.settings import Config, Named
from lofi_jax.training.optimizer import Optimizer


def defaults() -> ConfigDict:
    """All keys with their defaults, locked; see settings.py."""
    return ConfigDict(to_plain(Config())).lock()


def named(name: str, **options: Any) -> ConfigDict:
    """A class by name with the arguments it is made with."""
    return ConfigDict({"name": name, **options})


def optimizer(**changes: Any) -> ConfigDict:
    """An optimizer's settings: the defaults of `Optimizer`, but for the changes."""
    settings = ConfigDict(dataclasses.asdict(Optimizer())).lock()
    settings.update(changes)
    return settings.unlock()


def typed(config: ConfigDict) -> Config:
    """The config as a value."""
    return from_plain(config.to_dict())


def to_plain(config: Config) -> dict[str, Any]:
    """The config as nested dicts."""
    return _to_plain(config)


def from_plain(plain: Mapping[str, Any]) -> Config:
    """The config that `to_plain` took apart; absent keys have their defaults."""
    return _from_plain(Config, plain)


def _to_plain(value: Any) -> Any:
    if isinstance(value, Named):
        return {"name": value.name, **value.options}
    if dataclasses.is_dataclass(value):
        return {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def _from_plain(kind: Any, plain: Mapping[str, Any]) -> Any:
    if kind is Named:
        options = {key: _as_tuples(value) for key, value in plain.items() if key != "name"}
        return Named(plain["name"], options)
    kinds = typing.get_type_hints(kind)
    values = {}
    for f in dataclasses.fields(kind):
        if f.name in plain:
            value, of = plain[f.name], kinds[f.name]
            nested = dataclasses.is_dataclass(of)
            values[f.name] = _from_plain(of, value) if nested else _as_tuples(value)
    return kind(**values)


def _as_tuples(value: Any) -> Any:
    """Lists, which JSON makes of tuples, as tuples, so that equal configs are equal."""
    if isinstance(value, list | tuple):
        return tuple(map(_as_tuples, value))
    if isinstance(value, Mapping):
        return {key: _as_tuples(entry) for key, entry in value.items()}
    return value
