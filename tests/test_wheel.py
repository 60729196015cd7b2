"""The wheel, installed outside the checkout, holds all that the commands need, the shipped configs
among it.
"""

import shutil
import subprocess

import public_resnet18
import pytest
import wheels
from commands import ENVIRONMENT, ROOT, TINY, refused
from safetensors.numpy import save_file

from lofi_jax.__main__ import COMMANDS

pytestmark = wheels.can_be_built


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The folder bin/ of a fresh environment in which the wheel is installed."""
    built, fresh = (tmp_path_factory.mktemp(name) for name in ("built", "fresh"))
    scripts = wheels.environment(fresh)
    wheels.install(wheels.build(built), fresh)
    return scripts


@pytest.fixture(scope="module")
def lofi(scripts, tmp_path_factory):
    """Runs `lofi` in an empty folder, with nothing in its environment but what spares time."""
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {name: ENVIRONMENT[name] for name in ("XLA_FLAGS", "JAX_PLATFORMS")}

    def run(*arguments):
        command = [scripts / "lofi", *map(str, arguments)]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )

    return run


def test_the_wheel_holds_every_module_and_config(scripts):
    (installed,) = scripts.parent.glob("lib/python3*/site-packages/lofi_jax")
    there = {path.relative_to(installed).as_posix() for path in installed.rglob("*.py")}
    modules = {path.relative_to(ROOT / "lofi_jax") for path in (ROOT / "lofi_jax").rglob("*.py")}
    configs = {path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.py")}
    assert there == {path.as_posix() for path in modules | configs}
    assert (installed / "py.typed").exists()
    assert len((installed / "weights/kinetics400.txt").read_text().splitlines()) == 400


def test_the_commands_are_those_that_the_script_lists(lofi):
    files = (ROOT / "lofi_jax").glob("*.py")
    assert {path.stem for path in files if "errors.run(main" in path.read_text()} == set(COMMANDS)
    listed = lofi("--help")
    assert listed.returncode == 0 and listed.stderr == ""
    assert [line.split()[0] for line in listed.stdout.splitlines()[2:]] == list(COMMANDS)
    unknown = lofi("mian")
    assert unknown.returncode == 2 and unknown.stderr.startswith(
        "error: no command 'mian': did you mean main? there are main, doctor, "
    )


def test_listing_the_commands_imports_no_jax(scripts):
    code = (
        "import sys; sys.argv = ['lofi']; from lofi_jax.__main__ import main; main();"
        " print(*sys.modules)"
    )
    ended = subprocess.run(
        [scripts / "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={},
        cwd="/",
    )
    assert not {"jax", "numpy", "absl"} & set(ended.stdout.splitlines()[-1].split())


def test_a_shipped_config_is_found_by_name(lofi, tmp_path):
    ended = lofi(
        "main", "--config=study", f"--workdir={tmp_path / 'run'}", "--config.dtype=float16"
    )
    assert ended.stderr == "error: config.dtype is 'float16': choose one of float32, bfloat16\n"


@pytest.fixture(scope="module")
def everything(lofi, finished_run, tmp_path_factory):
    """How every command ends outside the checkout, one after the other, by its name; each takes
    what those before it have made.
    """
    done, folder = finished_run[0], tmp_path_factory.mktemp("everything")
    run = folder / "seed_0"
    shutil.copytree(done / "data", run / "data")  # rendered and prepared, as it would be here
    target = run / "data" / "world" / "target"
    found, truth = folder / "found.json", f"--ground_truth={target / 'annotations.json'}"
    usual = (
        f"--config={TINY}",
        "--config.rows=icp",
        f"--config.log.cache_dir={done.parent / 'cache'}",
    )
    of, one = f"--predictions={found}", "--subset=testing"
    weights = folder / "encoder.safetensors"
    save_file(public_resnet18.arrays(), weights)
    arguments = {
        "study": [*usual, f"--workdir={folder}", "--seeds=0"],
        "main": [*usual, f"--workdir={run}"],
        "predict": [f"--workdir={run}", f"--videos={target}/videos/*test*", f"--output={found}"],
        "doctor": [*usual, f"--workdir={run}"],
        "evaluate": [truth, of, one],
        "diagnose": [truth, of, one, f"--output_dir={folder / 'why'}"],
        "compare": [truth, f"{of},{run / 'detections.json'}", one, "--resamples=10"],
        "fuse": [f"{of},{run / 'detections.json'}", f"--output={folder / 'fused.json'}"],
        "validate": [truth, of, one],
        "view": [truth, of, one, f"--video_dir={target / 'videos'}", f"--output={folder / 'page'}"],
        "recognize": [f"--videos={folder / 'none.mp4'}", f"--output={folder / 'known.json'}"],
        "plan": [f"--config={TINY}", "--batch_sizes=1", "--chunks=0", "--fidelities=temporal"],
        "prepare": [
            "--dataset=video_folder",
            f"--video_dir={target / 'videos'}",
            f"--annotations={target / 'annotations.json'}",
            f"--data_dir={folder / 'prepared'}",
            "--snippets=2",
            "--frames_per_snippet=1",
            "--short_side=16",
        ],
        "convert": [
            f"--source={weights}",
            "--encoder=tsm_resnet18",
            f"--output={folder / 'encoder'}",
        ],
        "export": [
            f"--workdir={run}",
            "--encoder=icp",
            "--layout=opentad",
            f"--output={folder / 'exported'}",
        ],
    }
    return {name: lofi(name, *given) for name, given in arguments.items()}, folder


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_works_outside_the_checkout(everything, name):
    ended = everything[0][name]
    if name == "recognize":  # whose weights are an extra: it is told that, or that the file is none
        assert refused(ended)
    else:
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_what_is_predicted_can_be_measured(everything):
    ended, folder = everything
    assert ended["main"].stdout.endswith(f"{folder / 'seed_0'}\n")
    assert "in 4 videos of 'testing'" in ended["evaluate"].stdout
    assert ended["validate"].stdout == f"{folder / 'found.json'}: valid\n"
