"""The ways in which a file of a workdir is damaged, and which files of a workdir are."""

import pathlib
import random

KINDS = ("gone", "empty", "cut", "flip", "zeros", "other")


def damage(path: pathlib.Path, kind: str, rng: random.Random) -> None:
    """Damages a file; "other" gives it content of another type."""
    content = path.read_bytes()
    path.unlink()
    if kind == "cut":
        path.write_bytes(content[: rng.randrange(len(content))])
    elif kind == "flip":
        at = rng.randrange(len(content))
        changed = content[at] ^ 1 << rng.randrange(8)
        path.write_bytes(content[:at] + bytes([changed]) + content[at + 1 :])
    elif kind == "other":
        path.write_text('["another", {"type": NaN}]')
    elif kind != "gone":
        path.write_bytes(b"" if kind == "empty" else bytes(len(content)))


def files(workdir: pathlib.Path) -> list[pathlib.Path]:
    """The files of a workdir that a run reads again, by name: of many alike, the first two."""
    kept: dict[tuple, list[pathlib.Path]] = {}
    for path in sorted(workdir.rglob("*")):
        inside = path.relative_to(workdir).parts
        if path.is_file() and path.stat().st_size and inside[0] not in ("cache", "tensorboard"):
            alike = (*inside[:2], path.suffix or path.parent.name, "state" in inside)
            kept.setdefault(alike, []).append(path)
    return [path for alike in kept.values() for path in alike[:2] if "tfevents" not in path.name]
