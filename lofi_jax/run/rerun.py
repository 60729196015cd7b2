"""Starting stages of a workdir anew: what each has made, and which keys of the config may change
with it.
"""

import pathlib
import shutil

from lofi_jax.comma_separated import names
from lofi_jax.errors import UsageError
from lofi_jax.run.workdir import Workdir

# In the order of the run: what one made is what the next began with.
STAGES = ("pretrain", "joint", "extract", "head", "detect", "evaluate")

# The first stage that a key, or a group of them, means something to.
_KEYS = {
    "initial_checkpoint": "pretrain",
    "encoder_checkpoint": "pretrain",
    "pretrain": "pretrain",
    "fine_tune": "pretrain",
    "joint": "joint",
    "head": "joint",
    "other_heads": "joint",
    "head_training": "head",
    "classifier": "head",
    "detect": "detect",
    "evaluate": "evaluate",
}


_MADE = {
    "pretrain": ("encoders/*", "features/*", "classifier/*", "heads/*", "detections/*.json"),
    "joint": (
        *("encoders/lofi_*", "features/lofi_*", "classifier/lofi_*"),
        *("heads/lofi_*", "detections/lofi_*.json"),
    ),
    "extract": ("features/*", "classifier/*", "heads/*", "detections/*.json"),
    "head": ("classifier/*", "heads/*", "detections/*.json"),
    "detect": ("detections/*.json",),
    "evaluate": (),
}


def parse(text: str) -> tuple[str, ...]:
    """The stages of a comma-separated list.

    Raises:
        UserError: an unknown one.
    """
    stages = names(text)
    for stage in stages:
        if stage not in STAGES:
            raise UsageError(f"--rerun: no stage {stage!r}: choose from {', '.join(STAGES)}")
    return stages


def stage_of(key: str) -> str | None:
    """The first stage that a dotted key of the config means something to; None: any run of
    another value is another run.

    >>> stage_of("joint.epochs"), stage_of("seed")
    ('joint', None)
    """
    return _KEYS.get(key.partition(".")[0])


def covers(stages: tuple[str, ...], stage: str | None) -> bool:
    """Whether a stage is done anew if these are."""
    return stage is not None and any(STAGES.index(s) <= STAGES.index(stage) for s in stages)


def made(workdir: Workdir, stages: tuple[str, ...]) -> list[pathlib.Path]:
    """What the workdir holds of these stages and of what came of it, first made first."""
    patterns = {pattern for stage in stages for pattern in _MADE[stage]}
    paths = {path for pattern in patterns for path in workdir.root.glob(pattern)}
    rooms = [pattern.partition("/")[0] for pattern in _MADE["pretrain"]]
    return sorted(paths, key=lambda path: (rooms.index(path.parent.name), path))


def discard(workdir: Workdir, stages: tuple[str, ...]) -> list[str]:
    """Deletes what `made` finds; returns the names in the workdir, first made first."""
    paths = made(workdir, stages)
    # Last first: what a kill leaves was made from what is there.
    for path in reversed(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if "pretrain" in stages or {"joint", "head"} <= set(stages):
        workdir.annotations.unlink(missing_ok=True)  # nothing is left that learnt from them
    return [path.relative_to(workdir.root).as_posix() for path in paths]
