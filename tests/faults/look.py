"""Reads a whole workdir as a run reads it, without computing anything again."""

import hashlib
import pathlib

import jax
import numpy as np

from lofi_jax.config import rows_of
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.data.prepared import records
from lofi_jax.errors import UserError
from lofi_jax.jobs.pipeline import _seconds
from lofi_jax.results import by_ending
from lofi_jax.run import sources
from lofi_jax.run.start import Run, load_run
from lofi_jax.training.checkpoints import latest_sound, load_state
from lofi_jax.training.curve import read_curve


def look(workdir: pathlib.Path) -> dict[str, str]:
    """A digest of all numbers of each part; of one that is refused, the line that says so."""
    run = load_run(workdir)
    parts = {"seconds": lambda: str(_seconds(run))}
    for curve in sorted(workdir.glob("*/*/curve.jsonl")):
        folder = curve.parent
        name = folder.relative_to(workdir).as_posix()
        parts[f"{name} curve"] = lambda folder=folder: str(read_curve(folder))
        parts[f"{name} weights"] = lambda folder=folder: _weights(folder)
    for folder in sorted(workdir.glob("features/*")):
        parts[f"{folder.name} features"] = lambda folder=folder: _features(folder)
    for row in rows_of(run.config):
        path = run.workdir.detections(row)
        parts[f"{row.name} detections"] = lambda path=path: str(by_ending.load(path))
    for side in ("target", "source"):
        parts[side] = lambda side=side: _records(run, side)
    told = {}
    for name, part in parts.items():
        try:
            told[name] = hashlib.sha256(part().encode()).hexdigest()
        except UserError as error:
            told[name] = f"error: {error}"
    return told


def _weights(folder: pathlib.Path) -> str:
    step = latest_sound(folder / "checkpoints")
    state = load_state(folder / "checkpoints")
    arrays = jax.tree.leaves(state)
    return f"{step} " + " ".join(
        hashlib.sha256(np.asarray(a).tobytes()).hexdigest() for a in arrays
    )


def _features(folder: pathlib.Path) -> str:
    store = FeatureStore(folder)
    files = sorted(path.stem for path in folder.glob("*.npy"))
    read = [store.standardise(store.read(name)).tobytes() for name in files]
    return " ".join([*files, *(hashlib.sha256(one).hexdigest() for one in read)])


def _records(run: Run, side: str) -> str:
    one = sources.target(run) if side == "target" else sources.source(run)
    assert one is not None
    builder = records.load(run.workdir.data, one.name, one.sampling)
    digest = hashlib.sha256()
    for split in sorted(records.contents(builder)["videos"]):
        for record in (opened := records.Records(builder, split))[0], opened[len(opened) - 1]:
            for jpeg in record.frames:
                digest.update(jpeg)
            digest.update(
                str(sorted((k, str(v)) for k, v in vars(record).items() if k != "frames")).encode()
            )
    return digest.hexdigest()
