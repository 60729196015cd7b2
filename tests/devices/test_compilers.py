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


def compiled(devices, *wanted, timeout=1800):
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
    assert ended.returncode == 0, ended.stderr[-2000:]
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


def peak(found, batch):
    """GiB of temporaries, arguments and the next batch's frames, 100 x 8 x 224 x 224 a video."""
    following = batch * 100 * 8 * 224 * 224 * 3 / 2**30
    return found["temporaries_gib"] + found["arguments_gib"] + following


def test_a_tpu_takes_every_tiny_program():
    wanted = [{"tiny": True, "program": name} for name in programs.NAMES]
    chunked = {"tiny": True, "change": {"joint": {"chunk": 4, "keep": "convolutions"}}}
    found = compiled("v5e", *wanted, chunked)
    assert len(found) == len(wanted) + 1
    assert all(one["serialized_mb"] < 20 and not one["collectives"] for one in found)


@pytest.mark.tpu_compiler
def test_a_tpu_takes_the_full_step_in_half_of_its_memory():
    (found,) = compiled("v5e", {"change": BFLOAT16 | {"joint": {"batch_size": 16, "chunk": 5}}})
    assert peak(found, 16) <= 8


@pytest.mark.gpu_compiler
@pytest.mark.parametrize("device", GPUS)
def test_gpus_take_every_encoder_head_and_fidelity(device):
    step = {"batch_size": 16, "chunk": 5}
    encoders = ("tsm_resnet18", "tsm_resnet34", "tsm_resnet50", "r2plus1d_18", "r2plus1d_34")
    papers = [f"encoder={name}" for name in encoders] + ["head=bmn", "head=actionformer"]
    wanted = [
        {"paper": paper, "change": {"dtype": dtype, "joint": step}}
        for paper, dtype in itertools.product(papers, ("float32", "bfloat16"))
    ]
    variants = ({"keep": "convolutions"}, {"keep": "blocks"}, {"chunk": 0, "accumulate": 4})
    wanted += [{"change": BFLOAT16 | {"joint": step | one}} for one in variants]
    fidelities = ("spatial", "temporal", "spatiotemporal")
    wanted += [{"fidelity": name, "change": BFLOAT16 | {"joint": step}} for name in fidelities]
    wanted += [{"program": name, "change": BFLOAT16} for name in programs.NAMES if name != "joint"]
    found = compiled(device, *wanted)
    assert len(found) == len(wanted)
    assert all(one.get("serialized_mb", 0) < 20 and one["seconds"] < 60 for one in found)
    # The first two are the step of TSM-ResNet-18, in float32 and in bfloat16.
    assert peak(found[1], 16) <= 5


@pytest.mark.gpu_compiler
def test_meshes_of_gpus_speak_as_designed():
    step = {"batch_size": 16, "chunk": 5}
    meshes = ((8, 1), (1, 4), (2, 4))
    wanted = [{"mesh": mesh, "change": BFLOAT16 | {"joint": step}} for mesh in ((1, 1), *meshes)]
    sharded = BFLOAT16 | {"joint": step, "mesh": {"parameters": "sharded"}}
    wanted.append({"mesh": (2, 4), "change": sharded})
    alone, *spread, parameters = compiled("h100,8", *wanted)
    for one in spread:
        assert set(one["collectives"]) <= {"all-reduce", "all-gather"}
        assert one["temporaries_gib"] <= alone["temporaries_gib"]
    assert set(parameters["collectives"]) <= {"all-reduce", "all-gather", "reduce-scatter"}
    (two_hosts,) = compiled("h100,16,2", wanted[2] | {"mesh": (4, 4)})
    assert set(two_hosts["collectives"]) <= {"all-reduce", "all-gather"}
