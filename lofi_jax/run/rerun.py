"""Starting stages of a workdir anew: what each has made, and which keys of the config may change
with it.
"""

import pathlib

from lofi_jax.comma_separated import names
from lofi_jax.errors import UsageError
from lofi_jax.files import remove
from lofi_jax.run.workdir import (
    CLASSIFIERS,
    DETECTIONS,
    ENCODERS,
    FEATURES,
    HEADS,
    Workdir,
)

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

# In the order in which a run makes them.
_FOLDERS = (ENCODERS, FEATURES, CLASSIFIERS, HEADS, DETECTIONS)

# Where each stage and those after it write: the folders, and the names in them.
_MADE = {
    "pretrain": (_FOLDERS, "*"),
    "joint": (_FOLDERS, "lofi_*"),
    "extract": (_FOLDERS[1:], "*"),
    "head": (_FOLDERS[2:], "*"),
    "detect": (_FOLDERS[4:], "*"),
    "evaluate": ((), "*"),
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
    paths = {
        path
        for folders, kept in (_MADE[stage] for stage in stages)
        for folder in folders
        for name in (kept, f".{kept}")  # and our notes on them
        for path in (workdir.root / folder).glob(name)
    }
    return sorted(paths, key=lambda path: (_FOLDERS.index(path.parent.name), path))


def discard(workdir: Workdir, stages: tuple[str, ...]) -> list[str]:
    """Deletes what `made` finds; returns the names in the workdir, first made first, without the
    hidden files of our own.
    """
    paths = made(workdir, stages)
    # Last first: what a kill leaves was made from what is there.
    for path in reversed(paths):
        remove(path)
    if "pretrain" in stages or {"joint", "head"} <= set(stages):
        remove(workdir.learned_from)  # nothing is left that learnt from them
    seen = (path for path in paths if not path.name.startswith("."))
    return [path.relative_to(workdir.root).as_posix() for path in seen]
