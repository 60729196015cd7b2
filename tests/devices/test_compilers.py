"""The programs through the compilers of devices that are not there.

The TPU's tiny ones are among the default tests. What takes minutes is run by

    python -m pytest -m gpu_compiler -n1
    python -m pytest -m tpu_compiler -n1

where `[plan-gpu]` or `[plan-tpu]` is installed.
"""

import itertools
import json
import os
import subprocess
import sys

import commands
import programs
import pytest

from lofi_jax.devices import compile_only, plugins, table
from lofi_jax.errors import UserError

GPUS = ("h100", "a100", "t4")
BFLOAT16 = {"dtype": "bfloat16"}
PAPER = "paper/activitynet"


def compiled(devices, *wanted, timeout=7200):
    """What `programs.py` prints of each program, or a skipped test where the devices' compiler is
    missing.
    """
    platform = table.find(devices.split(",")[0]).platform
    try:
        plugins.check(platform)
    except UserError as error:
        pytest.skip(str(error))
    command = [sys.executable, "tests/programs.py", devices, *map(json.dumps, wanted)]
    environment = os.environ | compile_only.environment(platform)
    environment |= {"PYTHONPATH": str(commands.ROOT), "XLA_FLAGS": ""}
    options = dict(cwd=commands.ROOT, env=environment, capture_output=True, text=True)
    ended = subprocess.run(command, check=False, timeout=timeout, **options)
    print(ended.stdout)  # every figure, which pytest shows of a test that fails
    assert ended.returncode == 0, ended.stderr[-2000:]
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


def peak(found):
    """At most so many GiB: temporaries, and the arguments twice, of which the next step's batch is
    a part.
    """
    return found["temporaries_gib"] + 2 * found["arguments_gib"]


def a_step(change=BFLOAT16, joint=(), **asked):
    """The full-size joint step of 16 videos, 5 snippets at a time unless `joint` says otherwise."""
    settings = {"batch_size": 16, "chunk": 5} | dict(joint)
    return asked | {"change": change | {"joint": settings}}


def test_a_tpu_takes_every_tiny_program():
    wanted = [{"tiny": True, "program": name} for name in programs.NAMES]
    # In chunks, as at full size: the joint step takes as long to compile as all the others.
    wanted[1]["change"] = {"joint": {"chunk": 4, "keep": "convolutions"}}
    found = compiled("v5e", *wanted)
    assert len(found) == len(wanted)
    assert all(one["serialized_mb"] < 20 and not one["collectives"] for one in found)


@pytest.mark.tpu_compiler
def test_a_tpu_takes_the_full_step_in_half_of_its_memory():
    (found,) = compiled("v5e", a_step())
    assert peak(found) <= 8


@pytest.mark.gpu_compiler
@pytest.mark.parametrize("device", GPUS)
def test_gpus_take_every_encoder_head_and_fidelity(device):
    encoders = ("tsm_resnet18", "tsm_resnet34", "tsm_resnet50", "r2plus1d_18", "r2plus1d_34")
    wanted = {
        (name, dtype): a_step({"dtype": dtype}, config=f"{PAPER}:encoder={name}")
        for name, dtype in itertools.product(encoders, ("bfloat16", "float32"))
    }
    wanted |= {name: a_step(config=f"{PAPER}:head={name}") for name in ("bmn", "actionformer")}
    wanted["adapters"] = a_step(
        joint={"batch_size": 1, "chunk": 4}, config="adatad/activitynet:encoder=videomae_small"
    )
    variants = ("keep", "convolutions"), ("keep", "blocks"), ("accumulate", 16), ("chunk", 25)
    wanted |= {variant: a_step(joint=dict([variant])) for variant in variants}
    fidelities = ("spatial", "temporal", "spatiotemporal")
    wanted |= {name: a_step(fidelity=name) for name in fidelities}
    others = [name for name in programs.NAMES if name != "joint"]
    wanted |= {name: {"program": name, "change": BFLOAT16} for name in others}
    found = dict(zip(wanted, compiled(device, *wanted.values()), strict=True))
    step = found["tsm_resnet18", "bfloat16"]
    # Of processor time, on a machine that does nothing else. Attention takes longer.
    assert step["seconds"] < 60 and all(one["seconds"] < 120 for one in found.values())
    assert all(one["serialized_mb"] < 20 for one in found.values())
    assert peak(step) <= 5
    card_of_16_gb = table.find("t4").memory_gib
    assert peak(found["tsm_resnet50", "bfloat16"]) <= card_of_16_gb
    assert peak(found["r2plus1d_34", "bfloat16"]) <= card_of_16_gb


@pytest.mark.gpu_compiler
def test_meshes_of_gpus_speak_as_designed():
    alone, everywhere = a_step(), a_step(joint={"chunk": 0})
    spread = [a_step(mesh=mesh) for mesh in ((8, 1), (4, 2), (2, 4))]
    sharded = a_step(BFLOAT16 | {"mesh": {"parameters": "sharded"}}, mesh=(8, 1))
    alone, everywhere, sharded, *spread = compiled("h100,8", alone, everywhere, sharded, *spread)
    hosts = [a_step(mesh=(4, 4)), a_step(joint={"chunk": 0}, mesh=(4, 4))]
    on_two_hosts, spread_everywhere = compiled("h100,16,2", *hosts)
    for one in (*spread, on_two_hosts):
        assert set(one["collectives"]) <= {"all-reduce", "all-gather"}
        # A chunk takes what it takes on one device; the batch is spread, and buffers of
        # collectives are added.
        assert peak(one) < peak(alone) / 2
    assert set(sharded["collectives"]) <= {"all-reduce", "all-gather", "reduce-scatter"}
    assert sharded["arguments_gib"] < spread[0]["arguments_gib"]
    assert spread_everywhere["temporaries_gib"] < everywhere["temporaries_gib"] / 8
