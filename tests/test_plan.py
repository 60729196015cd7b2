"""The planner: what the compiled step says, and what is chosen by it."""

import json
import pathlib

import commands
import numpy as np
import pytest
import tiny

from lofi_jax import config as configs
from lofi_jax import plan
from lofi_jax.errors import UserError
from lofi_jax.stages import planning
from lofi_jax.stages.setup import Run, stored_config
from lofi_jax.training.sharding import make_mesh

ARGUMENTS = ("plan", f"--config={commands.TINY}", "--batch_sizes=4", "--chunks=0,5")


def a_run(mesh=(1, 1), **joint):
    c = tiny.get_config()
    c.joint.update(joint)
    return Run(c, pathlib.Path("unused"), make_mesh(*mesh))


def test_the_command_writes_the_plans_best_first_and_says_when_none_fits(tmp_path):
    ended = commands.run(*ARGUMENTS, "--memory_gib=1e-6", f"--output={tmp_path / 'plan.json'}")
    table, _, _ = ended.stdout.partition("error")
    assert commands.refused(ended, "nothing fits into --memory_gib=1e-06", "GiB; try smaller")
    found = json.loads((tmp_path / "plan.json").read_text())
    rows = found["rows"]
    assert found["device"] == "cpu" and len(rows) == 8
    by = {(row["fidelity"], row["chunk"]): row for row in rows}
    # The largest divisor of 16, 4 and 8 snippets that is at most 5.
    assert set(by) == {(name, n) for name in planning.FIDELITIES for n in (0, 4)}
    at_once, chunked = by["full", 0], by["full", 4]
    assert rows[:2] == [at_once, chunked]
    shape = [at_once[key] for key in ("snippets", "height", "width", "batch_size", "dtype")]
    assert shape == [16, 16, 16, 4, "float32"]
    assert chunked["temporaries_gib"] < 0.6 * at_once["temporaries_gib"]
    assert chunked["tflop"] > 1.1 * at_once["tflop"]
    assert by["temporal", 0]["tflop"] < 0.3 * at_once["tflop"]
    for row in rows:
        assert not row["fits"] and row["peak_gib"] > row["temporaries_gib"]
        assert row["fidelity"] in table
    fitting = {**by["temporal", 4], "fits": True}
    assert sorted([*rows, fitting], key=plan.rank)[0] == fitting


def test_the_work_is_the_published_one():
    c = configs.paper("fidelity=full")
    run = Run(c, pathlib.Path("unused"), make_mesh(1, 1))
    at = configs.full_fidelity(c)
    plain, once, twice = planning.tflop(run.config, planning.lofi_rows(c)[0], at)
    # ResNet-18 at 224 x 224: 1.81 G multiplications and as many additions (torchvision's table); 800 frames a video.
    # XLA leaves out the borders' zeros.
    np.testing.assert_allclose(once - plain, 2 * 1.814e9 * 800 / 1e12, rtol=0.1)
    np.testing.assert_allclose(twice - once, once - plain)
    assert 2.8 < plain / (once - plain) < 3.2


def test_auto_takes_the_largest_batch_and_then_the_largest_chunk_that_fits():
    roomy = a_run(batch_size=configs.AUTO, chunk=configs.AUTO, memory_gib=64.0)
    assert planning.choose(roomy) == {"batch_size": 16, "chunk": 0}
    row, at = planning.lofi_rows(roomy.config)[0], planning._at(roomy.config, "temporal")[0]
    needs = {
        chunk: planning.measure(a_run(batch_size=4, chunk=chunk), row, at)[1] for chunk in (0, 4)
    }
    tight = a_run(batch_size=4, chunk=configs.AUTO, memory_gib=(needs[0] + needs[4]) / 2)
    assert planning.choose(tight) == {"batch_size": 4, "chunk": 4}


def test_auto_says_when_nothing_fits():
    with pytest.raises(UserError, match="no joint step fits into 0.00 GiB, the smallest takes"):
        planning.choose(a_run(batch_size=4, chunk=configs.AUTO, memory_gib=1e-6))


def test_a_run_keeps_what_auto_chose(tmp_path):
    auto = ("--config.joint.batch_size=auto", "--config.joint.chunk=auto", "--config.stages=data")
    first = commands.run(*commands.main(tmp_path / "run", *auto, "--config.joint.memory_gib=64"))
    assert first.returncode == 0, first.stderr
    assert "batch_size=16 chunk=0 fit" in first.stdout
    stored = stored_config(tmp_path / "run")
    assert (stored.joint.batch_size, stored.joint.chunk) == (16, 0)
    again = commands.run(*commands.main(tmp_path / "run", *auto, "--config.joint.memory_gib=64"))
    assert again.returncode == 0 and "fit" not in again.stdout
