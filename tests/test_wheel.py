"""The wheel, installed outside the checkout, holds all that the commands need, the shipped configs
among it.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys
import venv
from importlib import metadata

import pytest
from commands import ENVIRONMENT, ROOT, TINY

from lofi_jax.__main__ import COMMANDS

# Of a site-packages' folder, which may hold an older wheel, setuptools reads a licence's name from
# 77 on.
_VERSION = metadata.version("setuptools") if importlib.util.find_spec("setuptools") else "0"
pytestmark = pytest.mark.skipif(
    int(_VERSION.partition(".")[0]) < 77, reason="no setuptools that builds the wheel"
)
PARTS = ("lofi_jax", "configs", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The folder bin/ of a fresh environment in which the wheel is installed."""
    source, built, fresh = (tmp_path_factory.mktemp(name) for name in ("source", "built", "fresh"))
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(built)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    venv.create(fresh, symlinks=True)
    (own,) = fresh.glob("lib/python3*/site-packages")
    # Nothing can be downloaded here: what the package needs is taken from where these tests have
    # it.
    there = [
        path for path in sys.path if pathlib.Path(path).name in ("site-packages", "dist-packages")
    ]
    (own / "dependencies.pth").write_text("\n".join(there))
    pip = [sys.executable, "-m", "pip", "--python", fresh, "install", "--no-deps", "--no-index"]
    options = ["--quiet", "--disable-pip-version-check", "--ignore-installed"]
    subprocess.run([*pip, *options, *built.glob("*.whl")], check=True)
    return fresh / "bin"


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
        "error: no command 'mian': did you mean main?"
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


def test_study_main_predict_and_evaluate_work_outside_the_checkout(lofi, finished_run, tmp_path):
    done, _ = finished_run
    run, cache = tmp_path / "seed_0", done.parent / "cache"
    shutil.copytree(done / "data", run / "data")  # rendered and prepared, as it would be here
    usual = (f"--config={TINY}", "--config.rows=icp", f"--config.log.cache_dir={cache}")
    ended = lofi("study", *usual, f"--workdir={tmp_path}", "--seeds=0")
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    again = lofi("main", *usual, f"--workdir={run}")
    assert again.returncode == 0 and again.stderr == "", again.stderr
    assert again.stdout.endswith(f"{run}\n")
    target = run / "data" / "world" / "target"
    video, found = next((target / "videos").glob("*test*.mp4")), tmp_path / "found.json"
    predicted = lofi("predict", f"--workdir={run}", f"--videos={video}", f"--output={found}")
    assert predicted.returncode == 0 and found.exists(), predicted.stderr
    truth = (f"--ground_truth={target / 'annotations.json'}", "--subset=testing")
    scores = lofi("evaluate", *truth, f"--predictions={run / 'detections.json'}")
    assert scores.returncode == 0 and "average" in scores.stdout, scores.stderr
