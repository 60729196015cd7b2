"""Two processes that train together, and how they end."""

import json
import socket

import numpy as np
import pytest
from commands import main, start


def start_two(workdir, *more):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    arguments = main(workdir, "--config.mesh.cpu_devices=1")
    # Their clocks differ, and yet they must save at the same steps.
    return [
        start(
            *arguments,
            f"--distributed=localhost:{port},2,{i}",
            f"--config.log.checkpoint_seconds={1000 * i}",
            *more,
        )
        for i in range(2)
    ]


def ended_alike(workdir, unbroken):
    """Checks that two processes have ended with one process's numbers."""
    ours, theirs = (
        json.loads((w / "results.json").read_text())["rows"] for w in (workdir, unbroken)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert a["average_mAP"] == pytest.approx(b["average_mAP"], abs=2e-3)
    for encoder in ("acp", "lofi_temporal_gtad"):
        folders = [w / "features" / encoder for w in (workdir, unbroken)]
        names = [sorted(p.name for p in folder.glob("*.npy")) for folder in folders]
        assert names[0] == names[1] and len(names[0]) == 12
        for name in names[0]:
            a, b = (np.load(folder / name) for folder in folders)
            np.testing.assert_allclose(a, b, atol=1e-4)
    assert not list(workdir.rglob(".*part*"))


def lost_in_one_line(process):
    """Whether a process ends as it should when it has lost the other."""
    _, err = process.communicate(timeout=150)
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    return process.returncode == 1 and len(lines) == 1 and lines[0].startswith("error: process ")
