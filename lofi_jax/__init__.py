"""LoFi: low-fidelity video encoder optimization for temporal action localization (arXiv
2103.15233).

    import lofi_jax

    localizer = lofi_jax.Localizer.load("runs/synthetic")
    found = localizer.detect("holiday.mp4", min_score=0.1)
    lofi_jax.save_detections("holiday.vtt", found)

Names are imported on first use, so `import lofi_jax` is fast. `Detections` and everything that
evaluates them never import JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from lofi_jax.devices import at_hand

if TYPE_CHECKING:
    from lofi_jax.errors import UserError as UserError
    from lofi_jax.fidelity import Fidelity as Fidelity
    from lofi_jax.jobs.prediction.frame_encoder import load_encoder as load_encoder
    from lofi_jax.jobs.prediction.localizer import Localizer as Localizer
    from lofi_jax.results.by_ending import load as load_detections
    from lofi_jax.results.by_ending import save as save_detections
    from lofi_jax.results.detections import Detection as Detection
    from lofi_jax.results.detections import Detections as Detections

__all__ = [
    "Detection",
    "Detections",
    "Fidelity",
    "Localizer",
    "UserError",
    "load_detections",
    "load_encoder",
    "save_detections",
]

_HOMES = {
    "Detection": "lofi_jax.results.detections:Detection",
    "Detections": "lofi_jax.results.detections:Detections",
    "Fidelity": "lofi_jax.fidelity:Fidelity",
    "Localizer": "lofi_jax.jobs.prediction.localizer:Localizer",
    "UserError": "lofi_jax.errors:UserError",
    "load_detections": "lofi_jax.results.by_ending:load",
    "load_encoder": "lofi_jax.jobs.prediction.frame_encoder:load_encoder",
    "save_detections": "lofi_jax.results.by_ending:save",
}

at_hand.keep_absent_ones_quiet()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lofi_jax' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
