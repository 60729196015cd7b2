"""Plans for devices that are not there: their compiler's process, what it says, and what ends
it.
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import time

import commands
import pytest
import tiny
from keys import changed

from lofi_jax.config import typed
from lofi_jax.devices import at_hand, bound, plugins, process, table
from lofi_jax.errors import UserError
from lofi_jax.jobs.planning import absent, machines, planning
from lofi_jax.reports import tables

WANTED = [planning.Candidate(name, 4, 4, "float32") for name in ("full", "spatial", "temporal")]

# A compiler that ends its process at the second plan, and whose libraries print as they like.
COMPILER = """
import os, sys
from lofi_jax.devices import process

task, answer = process.given()
print("a library's own words", flush=True)
for name, batch_size, chunk, dtype in task["wanted"]:
    plan = dict(fidelity=name, snippets=16, height=16, width=16, batch_size=batch_size, chunk=chunk)
    plan |= dict(dtype=dtype, tflop=2.0, moved_gib=1.0)
    answer(plan)
    if name == "spatial":
        print("F1124 14:51:36.1 7 tiling.cc:627] Check failed: 2 == 3 ", file=sys.stderr)
        print("    @ 0x7fa14349427b  xla::gpu::Compile()", file=sys.stderr, flush=True)
        os.abort()
    answer(plan | dict(temporaries_gib=1.0, peak_gib=2.5))
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module that can be run in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{commands.ROOT}")

    def write(source):
        (tmp_path / "of_a_test.py").write_text(source)
        return "of_a_test"

    return write


def test_a_step_that_ends_the_compiler_is_a_plan_that_says_so(module, monkeypatch):
    monkeypatch.setattr(absent, "_COMPILER", module(COMPILER))
    full, spatial, temporal = absent.plans(typed(tiny.get_config()), "h100", 1, WANTED)
    assert full.fidelity == "full" and temporal.fidelity == "temporal"
    assert full.peak_gib == temporal.peak_gib == 2.5 and not full.refused
    assert spatial.refused == "the compiler ended with SIGABRT: Check failed: 2 == 3"
    assert spatial.tflop == 2 and spatial.peak_gib == math.inf


def test_a_compiler_that_does_not_start_is_named_in_one_line(module, monkeypatch):
    monkeypatch.setattr(absent, "_COMPILER", module("raise RuntimeError('no library')"))
    with pytest.raises(UserError, match="--device=t4: its compiler ended with exit code 1: no lib"):
        list(absent.plans(typed(tiny.get_config()), "t4", 1, WANTED))


def test_what_the_user_can_mend_is_said_as_it_is(module, monkeypatch):
    says = "from lofi_jax.devices import process; process.given()[1]({'error': 'change this'})"
    monkeypatch.setattr(absent, "_COMPILER", module(says))
    with pytest.raises(UserError, match="^change this$"):
        list(absent.plans(typed(tiny.get_config()), "t4", 1, WANTED))


def test_a_process_whose_answers_are_no_longer_wanted_ends(module):
    source = "import time, os; from lofi_jax.devices import process; _, a = process.given(); "
    answers = process.answers(module(source + "a(os.getpid()); time.sleep(600)"), None, {})
    number = next(answers)
    answers.close()
    assert not pathlib.Path(f"/proc/{number}").exists()


def test_a_process_ends_with_the_one_that_gave_it_its_task(module):
    source = "import time, os; from lofi_jax.devices import process; _, a = process.given(); "
    name = module(source + "a(os.getpid()); time.sleep(600)")
    ask = "from lofi_jax.devices.process import answers\n"
    ask += f"for answer in answers({name!r}, 0, {{}}): print(answer, flush=True)"
    command = [sys.executable, "-c", ask]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        path = pathlib.Path(f"/proc/{int(asking.stdout.readline())}")
        asking.kill()
    deadline = time.monotonic() + 60
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not path.exists()


@pytest.mark.parametrize(
    ("says", "temporaries", "peak"),
    [
        # What the TPU compiler of libtpu 0.0.52 says; state and batch take 1 and 2 GiB.
        ("the total memory required for HLO temporaries (576.00G) exceeds available HBM", 576, 581),
        ("Used 35.50G of 15.75G hbm. Exceeded hbm capacity by 19.75G.", 32.5, 37.5),
        ("Ran out.", math.inf, math.inf),
    ],
)
def test_a_refused_step_tells_what_it_needed(says, temporaries, peak):
    found = planning._refused(f"RESOURCE_EXHAUSTED: {says}", 2**30, 2 * 2**30)
    assert (found.temporaries_gib, found.peak_gib) == (temporaries, peak)
    assert found.refused


def test_the_table_says_why_a_compiler_made_no_program():
    row = dict(fidelity="full", dtype="float32", fits=False, snippets=4, height=2, width=3)
    row |= dict(batch_size=4, chunk=0, tflop=8.0, bound_seconds=0.25, refused="it ended")
    row |= dict(temporaries_gib=math.inf, peak_gib=math.inf)
    _, line, note = tables.plan([row]).splitlines()
    assert line.split()[-5:] == ["-", "-", "8", "2", "0.25"]
    assert note == "full, float32, 4, all: it ended"


def test_the_bound_is_that_of_arithmetic_or_of_memory():
    h100 = table.find("h100")
    # 98.94 x 10^12 at 989.4 x 10^12 a second; 3352 x 10^9 bytes at as many a second.
    assert bound.seconds(h100, "bfloat16", 98.94, 1.0) == pytest.approx(0.1)
    assert bound.seconds(h100, "bfloat16", 98.94, 3352e9 / 2**30) == pytest.approx(1.0)
    assert bound.seconds(h100, "float32", 98.94, 1.0) == pytest.approx(0.2)
    assert bound.known(h100.kind) is h100 and bound.known("cpu") is None


def test_an_unknown_device_is_refused_in_one_line():
    ended = commands.run("plan", f"--config={commands.TINY}", "--device=h10")
    assert commands.misused(ended, "--device=h10: unknown device; did you mean h100?")


@pytest.mark.parametrize(
    ("name", "count", "snippet", "says"),
    [
        ("v5e", 6, 1, "--devices=6: v5e comes in slices of 1, 4, 8"),
        ("t4", 2, 4, "change config.mesh.data or config.mesh.snippet"),
        ("t4", 16, 16, "over 2 processes of 8"),
    ],
)
def test_a_mesh_that_the_devices_do_not_make_is_refused(name, count, snippet, says):
    config = changed(tiny.get_config(), {"mesh.snippet": snippet})
    with pytest.raises(UserError, match=says):
        machines.elsewhere(config, name, count)


@pytest.mark.parametrize("name", ["h100", pytest.param("v5e", marks=pytest.mark.slow)])
def test_the_command_plans_for_a_device_that_is_not_there(name, tmp_path):
    device = table.find(name)
    try:
        plugins.check(device.platform)
    except UserError as error:
        pytest.skip(str(error))
    flags = ("--fidelities=temporal", "--batch_sizes=4", "--chunks=4", f"--device={name}")
    output = tmp_path / "plan.json"
    ended = commands.run("plan", f"--config={commands.TINY}", *flags, f"--output={output}")
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    assert f"1 x {device.kind}, {device.memory_gib:.2f} GiB each, not at hand" in ended.stdout
    found = json.loads(output.read_text())
    (row,) = found["rows"]
    assert found["device"] == device.kind and row["fits"] and not row["refused"]
    assert 0 < row["temporaries_gib"] < row["peak_gib"] < 0.1
    assert row["bound_seconds"] == bound.seconds(device, "float32", row["tflop"], row["moved_gib"])


def test_devices_that_are_not_there_are_not_complained_of():
    environment = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    command = [sys.executable, "-c", "import lofi_jax, jax; print(jax.devices()[0].platform)"]
    options = dict(cwd=commands.ROOT, env=environment, capture_output=True, text=True)
    ended = subprocess.run(command, check=True, timeout=60, **options)
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("installed", "there", "chosen"),
    [
        ({"xla_cuda12", "libtpu"}, [], "cpu"),
        ({"xla_cuda12", "libtpu"}, ["/dev/nvidiactl"], None),
        ({"xla_cuda13"}, ["/dev/dxg"], None),
        ({"libtpu"}, ["/dev/nvidiactl"], "cpu"),
        ({"libtpu"}, ["/dev/vfio/0"], None),
        ({"xla_cuda12", "someone_elses"}, [], None),
        (set(), [], None),
    ],
)
def test_jax_is_left_to_the_cpu_only_where_nothing_else_is_at_hand(
    installed, there, chosen, monkeypatch
):
    environment = {}
    monkeypatch.setattr(at_hand, "_plugins", lambda: installed)
    monkeypatch.setattr(at_hand.os, "environ", environment)

    def find(pattern):
        return [path for path in there if pathlib.PurePath(path).match(pattern)]

    monkeypatch.setattr(at_hand.glob, "glob", find)
    at_hand.keep_absent_ones_quiet()
    assert environment.get("JAX_PLATFORMS") == chosen
