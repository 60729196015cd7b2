"""A config in its two forms: the ConfigDict that files and command lines change, and the value for
all the rest.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from lofi_jax.config.settings import Config, Named
from lofi_jax.errors import UserError, as_usage
from lofi_jax.training.optimizer import Optimizer


class UnknownKey(UserError):
    """A key that no config has."""


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


@as_usage()
def typed(config: ConfigDict) -> Config:
    """The config as a value.

    Raises:
        UserError: a key that no config has, or a value of another type than its key's.
    """
    try:
        return from_plain(config.to_dict())
    except UnknownKey as error:
        raise UserError(f"{error}: begin with lofi_jax.config.defaults()") from error


def to_plain(config: Config) -> dict[str, Any]:
    """The config as nested dicts."""
    return _to_plain(config)


def from_plain(plain: Mapping[str, Any]) -> Config:
    """The config that `to_plain` took apart; absent keys have their defaults.

    Raises:
        UserError: a value of another type than its key's.
        UnknownKey: a key that no config has.
    """
    return _from_plain(Config, plain, "config")


def _to_plain(value: Any) -> Any:
    if isinstance(value, Named):
        return {"name": value.name, **value.options}
    if dataclasses.is_dataclass(value):
        return {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def _from_plain(kind: Any, plain: Any, key: str) -> Any:
    if not isinstance(plain, Mapping) or not all(isinstance(name, str) for name in plain):
        raise UserError(f"{key} is {plain!r:.40}: it must be an object of keys")
    if kind is Named:
        options = {name: _as_tuples(value) for name, value in plain.items() if name != "name"}
        return Named(_checked(str, plain.get("name"), f"{key}.name"), options)
    known = [f.name for f in dataclasses.fields(kind)]
    if unknown := [name for name in plain if name not in known]:
        raise UnknownKey(f"{key} has no key {unknown[0]!r:.40}")
    kinds = typing.get_type_hints(kind)
    values = {}
    for f in dataclasses.fields(kind):
        if f.name in plain:
            value, of, name = plain[f.name], kinds[f.name], f"{key}.{f.name}"
            nested = dataclasses.is_dataclass(of)
            values[f.name] = _from_plain(of, value, name) if nested else _checked(of, value, name)
    return kind(**values)


_TYPES = {
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "text"),
    bool: (bool, "true or false"),
}


def _checked(of: Any, value: Any, key: str) -> Any:
    """The value, if it is of its key's type: one of `_TYPES`, a tuple of them, or a mapping."""
    value = _as_tuples(value)
    if of in _TYPES:
        kinds, wanted = _TYPES[of]
        if isinstance(value, kinds) and (of is bool or not isinstance(value, bool)):
            return value
    elif typing.get_origin(of) is tuple:
        parts, wanted = typing.get_args(of), f"{len(typing.get_args(of))} values"
        if isinstance(value, tuple) and len(value) == len(parts):
            return tuple(_checked(part, one, key) for part, one in zip(parts, value, strict=True))
    else:
        wanted = "an object of keys"
        if isinstance(value, Mapping):
            return value
    raise UserError(f"{key} is {value!r:.40}: it must be {wanted}")


def _as_tuples(value: Any) -> Any:
    """Lists, which JSON makes of tuples, as tuples, so that equal configs are equal."""
    if isinstance(value, list | tuple):
        return tuple(map(_as_tuples, value))
    if isinstance(value, Mapping):
        return {key: _as_tuples(entry) for key, entry in value.items()}
    return value
