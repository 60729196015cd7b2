"""A workdir's config on disk, and how another run's differs from it."""

import json

from ml_collections import ConfigDict

from lofi_jax.config.keys import defaults

# What may change between two runs in one workdir without changing any result by more than rounding.
FREE_KEYS = (
    "stages",
    "head_checkpoint",
    "joint.chunk",
    "joint.keep",
    "joint.accumulate",
    "joint.memory_gib",
    "extract",
    "detect.batch_size",
    "log",
    "data.workers",
    "mesh",
    "timelines",
)


def to_json(config: ConfigDict) -> str:
    """The config as JSON text, which `from_json` reads."""
    return config.to_json(indent=1)


def from_json(text: str) -> ConfigDict:
    """The config that `to_json` wrote; keys that did not exist then have their defaults."""
    return ConfigDict(_overlay(json.loads(defaults().to_json()), json.loads(text))).lock()


def _overlay(below: dict, above: dict) -> dict:
    both = {k: _overlay(below[k], v) for k, v in above.items() if isinstance(below.get(k), dict)}
    return below | above | both


def differing_keys(old: ConfigDict, new: ConfigDict) -> dict[str, tuple[object, object]]:
    """The dotted keys whose values differ and change results, with the old and the new value."""
    before, after = _flatten(json.loads(old.to_json())), _flatten(json.loads(new.to_json()))
    keys = [k for k in sorted(before.keys() | after.keys()) if before.get(k) != after.get(k)]
    free = tuple(f"{key}." for key in FREE_KEYS)
    return {k: (before.get(k), after.get(k)) for k in keys if not f"{k}.".startswith(free)}


def _flatten(nested: dict, prefix: str = "") -> dict[str, object]:
    flat = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
