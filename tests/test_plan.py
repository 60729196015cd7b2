"""The planner: what the compiled step says, and what is chosen by it."""

import json

import commands
import jax
import numpy as np
import pytest
import tiny
from keys import changed

from lofi_jax import command_line, plan
from lofi_jax import config as configs
from lofi_jax.config import typed
from lofi_jax.errors import UserError
from lofi_jax.jobs.planning import auto, planning
from lofi_jax.training.sharding import make_mesh

ARGUMENTS = ("plan", f"--config={commands.TINY}", "--batch_sizes=4", "--chunks=5")


def a_config(**joint):
    c = tiny.get_config()
    c.joint.update(joint)
    return typed(c)


ONE = make_mesh(1, 1)


@pytest.mark.slow
def test_the_command_writes_the_plans_best_first_and_says_when_none_fits(tmp_path):
    ended = commands.run(*ARGUMENTS, "--memory_gib=1e-6", f"--output={tmp_path / 'plan.json'}")
    table, _, _ = ended.stdout.partition("error")
    assert commands.refused(ended, "nothing fits into --memory_gib=1e-06", "GiB; try smaller")
    found = json.loads((tmp_path / "plan.json").read_text())
    rows = found["rows"]
    assert found["device"] == "cpu" and len(rows) == 4
    assert "the figures of XLA's CPU compiler" in table.splitlines()[0]
    by = {row["fidelity"]: row for row in rows}
    # The largest divisor of 16, 4 and 8 snippets that is at most 5.
    assert set(by) == set(planning.FIDELITIES) and {row["chunk"] for row in rows} == {4}
    full = rows[0]
    shape = [full[key] for key in ("snippets", "height", "width", "batch_size", "dtype")]
    assert full == by["full"] and shape == [16, 16, 16, 4, "float32"]
    assert by["temporal"]["tflop"] < 0.3 * full["tflop"]
    assert by["spatial"]["peak_gib"] < full["peak_gib"]
    for row in rows:
        assert not row["fits"] and row["peak_gib"] > row["temporaries_gib"]
        assert row["fidelity"] in table
        # Nobody says what a CPU can do at most.
        assert row["bound_seconds"] is None and row["refused"] == ""
    fitting = {**by["temporal"], "fits": True}
    assert sorted([*rows, fitting], key=plan.rank)[0] == fitting


@pytest.mark.parametrize(
    "flag",
    [
        *("--batch_sizes=0", "--batch_sizes=a", "--chunks=-1", "--chunks=,", "--dtypes=float64"),
        *("--fidelities=fast", "--devices=2", "--memory_gib=nan", "--memory_gib=-1"),
    ],
)
def test_impossible_flags_are_refused(flag):
    ended = commands.run("plan", f"--config={commands.TINY}", flag)
    assert commands.misused(ended, flag)


def test_a_batch_longer_than_the_compiler_counts_does_not_fit():
    config = a_config(batch_size=10**12)
    row = planning.lofi_rows(config)[0]
    (at,) = configs.fidelities(config, "temporal")
    found = planning.measure(config, ONE, row, at)
    # jax 0.10's compiler refuses it, that of 0.11 can count it.
    refused = found.refused.startswith("the compiler says: UNIMPLEMENTED")
    assert refused or found.temporaries_gib > 1e6


def test_auto_checks_the_config_first(tmp_path):
    config = changed(tiny.get_config(), {"joint.chunk": configs.AUTO, "dtype": "float64"})
    with pytest.raises(UserError, match="config.dtype is 'float64': choose one of float32"):
        auto.resolve(config, str(tmp_path))


@pytest.mark.slow
def test_the_work_is_the_published_one():
    c = typed(configs.paper("fidelity=full"))
    row, at = planning.lofi_rows(c)[0], configs.full_fidelity(c)
    plain, once, twice = planning.tflop(c, row, at)
    # ResNet-18 at 224 x 224: 1.81 G multiplications and as many additions (torchvision's table);
    # 800 frames a video. XLA leaves out the borders' zeros.
    np.testing.assert_allclose(once - plain, 2 * 1.814e9 * 800 / 1e12, rtol=0.1)
    np.testing.assert_allclose(twice - once, once - plain)
    assert 2.8 < plain / (once - plain) < 3.2


@pytest.mark.slow
def test_auto_takes_the_largest_batch_and_then_the_largest_chunk_that_fits():
    roomy = a_config(batch_size=configs.AUTO, chunk=configs.AUTO, memory_gib=64.0)
    assert auto.choose(roomy, ONE) == {"batch_size": 16, "chunk": 0}
    row, (at,) = planning.lofi_rows(roomy)[0], configs.fidelities(roomy, "temporal")
    needs = {
        chunk: planning.measure(a_config(batch_size=4, chunk=chunk), ONE, row, at).peak_gib
        for chunk in (0, 4)
    }
    assert needs[4] < needs[0]
    tight = a_config(batch_size=4, chunk=configs.AUTO, memory_gib=(needs[0] + needs[4]) / 2)
    assert auto.choose(tight, ONE) == {"batch_size": 4, "chunk": 4}


@pytest.mark.slow
def test_after_a_step_that_did_not_fit_a_smaller_one_is_named():
    failed = a_config(batch_size=16, chunk=0, memory_gib=64.0)
    assert (
        auto.advice(failed, ONE) == "config.joint.batch_size=16 and config.joint.chunk=4 would fit"
    )


def test_auto_says_when_nothing_fits():
    with pytest.raises(UserError, match="no joint step fits into 0.00 GiB, the smallest takes"):
        auto.choose(a_config(batch_size=4, chunk=4, memory_gib=1e-6), ONE)


def test_a_run_keeps_what_auto_chose(tmp_path, capsys):
    config = tiny.get_config()
    config.mesh.cpu_devices, config.log.cache_dir = 8, jax.config.jax_compilation_cache_dir
    config.joint.update(batch_size=configs.AUTO, chunk=configs.AUTO, memory_gib=64.0)
    chosen = auto.resolve(typed(config), str(tmp_path))
    assert (chosen.joint.batch_size, chosen.joint.chunk) == (16, 0)
    assert "batch_size=16 chunk=0 fit" in capsys.readouterr().out
    (tmp_path / "config.json").write_text(configs.to_json(chosen))
    config.joint.memory_gib = 1e-6
    again = auto.resolve(typed(config), str(tmp_path))
    assert (again.joint.batch_size, again.joint.chunk) == (16, 0)


def test_auto_is_written_for_a_number_on_the_command_line():
    flags = ["--config.joint.chunk=auto", "--config.joint.batch_size=auto", "--config.dtype=auto"]
    found = list(command_line._rewritten(flags))
    assert found == ["--config.joint.chunk=-1", "--config.joint.batch_size=-1", flags[2]]
