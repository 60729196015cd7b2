"""Where the folder of one training keeps each thing."""

import pathlib

CURVE = "curve.jsonl"


def checkpoints(training: pathlib.Path) -> pathlib.Path:
    """Its checkpoints."""
    return training / "checkpoints"


def curve(training: pathlib.Path) -> pathlib.Path:
    """Its log, a line for each entry."""
    return training / CURVE
