"""Where the folder of one training keeps each thing."""

import pathlib

CURVE = "curve.jsonl"


def checkpoints(training: pathlib.Path) -> pathlib.Path:
    """Its checkpoints."""
    return training / "checkpoints"


def of_checkpoints(named: pathlib.Path) -> pathlib.Path:
    """The checkpoints that a user means by a folder: a training's, or what it is itself."""
    own = checkpoints(named)
    return own if own.is_dir() else named


def curve(training: pathlib.Path) -> pathlib.Path:
    """Its log, a line for each entry."""
    return training / CURVE
