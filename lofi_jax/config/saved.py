"""A workdir's config on disk, and how it differs from another run's."""

import json

from flax.traverse_util import flatten_dict

from lofi_jax.config.settings import Config
from lofi_jax.config.typed import from_plain, to_plain

# Keys that may change between two runs in one workdir: of a row's results they change roundings.
FREE_KEYS = (
    "rows",
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


def to_json(config: Config) -> str:
    """The config as JSON text, which `from_json` reads."""
    return json.dumps(to_plain(config), indent=1, sort_keys=True)


def from_json(text: str) -> Config:
    """The config that `to_json` wrote; keys that did not exist then get their defaults."""
    return from_plain(json.loads(text))


def differing_keys(old: Config, new: Config) -> dict[str, tuple[object, object]]:
    """The dotted keys whose values differ and change results, with the old and the new value."""
    before, after = (flatten_dict(to_plain(config), sep=".") for config in (old, new))
    keys = [k for k in sorted(before.keys() | after.keys()) if before.get(k) != after.get(k)]
    free = tuple(f"{key}." for key in FREE_KEYS)
    return {k: (before.get(k), after.get(k)) for k in keys if not f"{k}.".startswith(free)}
