"""The notebooks run from top to bottom, here on a tiny config and a run that is already there."""

import ast
import json
import pathlib
import re
import shutil
import tomllib
from collections.abc import Iterator

import commands
import jax
import nbclient
import nbformat
import pytest
import wheels

NOTEBOOKS = sorted((commands.ROOT / "colabs").glob("*.ipynb"))

# The tiny config for own videos, with one row.
OWN = """import runpy
def get_config():
    c = runpy.run_path({tiny!r})["get_config"]()
    c.dataset, c.rows, c.log.cache_dir = "video_folder", "acp", {cache!r}
    return c
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory) -> Iterator[str]:
    """The name of a kernel in an environment without lofi_jax, in which nothing is downloaded."""
    folder = tmp_path_factory.mktemp("kernel")
    python = wheels.environment(folder / "environment") / "python"
    spec = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    spec |= {"display_name": "fresh", "language": "python"}
    (folder / "kernels" / "fresh").mkdir(parents=True)
    (folder / "kernels" / "fresh" / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XLA_FLAGS", "JAX_PLATFORMS"):
            patch.setenv(name, commands.ENVIRONMENT[name])
        patch.delenv("PYTHONPATH", raising=False)
        for name, value in (("JUPYTER_PATH", folder), ("PIP_NO_INDEX", 1), ("PIP_NO_DEPS", 1)):
            patch.setenv(name, str(value))
        yield "fresh"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def there(finished_run, tmp_path_factory) -> pathlib.Path:
    """A run that is already there, in place of minutes of training."""
    return shutil.copytree(finished_run[0], tmp_path_factory.mktemp("there") / "run")


# What the cell of settings is followed by, what is then printed, and the number of pictures.
SMALLER = {
    "quickstart": (
        "CONFIG, WORKDIR, CHANGES = {tiny!r}, {run!r}, [{cache!r}]",
        ("lofi - acp:", "1 of 1 videos -> predictions.json"),
        1 + 2 + 1,
    ),
    "own_videos": (
        "CONFIG, WORKDIR = {own!r}, {mine!r}",
        ("9 training videos with 18 instances", "3 videos -> page/index.html", "page.zip"),
        1 + 2,
    ),
    "error_analysis": ("WORKDIR = {run!r}", ("normalised", "draws"), 2 + 2),
    "python_interface": ("WORKDIR = {run!r}", ("WEBVTT", "-> (1, 16)"), 2),
}


def test_every_notebook_is_known():
    assert {path.stem for path in NOTEBOOKS} == set(SMALLER)


@wheels.can_be_built
@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_in_a_folder_that_holds_only_the_wheel(
    path, kernel, wheel, there, finished_run, tmp_path
):
    more, says, pictures = SMALLER[path.stem]
    shutil.copy(wheel, tmp_path)
    cache = str(finished_run[0].parent / "cache")
    own = tmp_path.with_name("own.py")
    own.write_text(OWN.format(tiny=str(commands.TINY), cache=cache))
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    settings = next(cell for cell in notebook.cells if "CONFIG =" in cell.source)
    settings.source += "\n" + more.format(
        tiny=str(commands.TINY),
        own=str(own),
        run=str(there),
        mine=str(tmp_path.with_name("mine")),
        cache=f"--config.log.cache_dir={cache}",
    )
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name=kernel, resources=where).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in shown)
    assert f"JAX {jax.__version__} on 1 x cpu" in text
    assert all(line in text for line in says)
    images = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(images) == pictures


def test_all_notebooks_install_alike():
    def cell(path, begin):
        cells = nbformat.read(path, as_version=4).cells
        return next(cell.source for cell in cells if begin in cell.source)

    for begin in ("def extra_for", "## Install"):
        assert len({cell(path, begin) for path in NOTEBOOKS}) == 1


def functions(*names: str) -> list:
    """Some functions of the quickstart."""
    notebook = nbformat.read(commands.ROOT / "colabs" / "quickstart.ipynb", as_version=4)
    source = next(cell.source for cell in notebook.cells if "def extra_for" in cell.source)
    nodes = [node for node in ast.parse(source).body if getattr(node, "name", "") in names]
    made = {"re": re}
    exec("\n\n".join(map(ast.unparse, nodes)), made)
    return [made[name] for name in names]


def test_the_notebook_finds_where_the_package_comes_from(tmp_path):
    origin, requirement = functions("origin", "requirement")
    there = "https://example.org/lofi"
    assert requirement(origin(tmp_path, there), "[tpu]") == f"lofi_jax[tpu] @ git+{there}"
    with pytest.raises(RuntimeError, match="no lofi_jax: put its wheel into"):
        origin(tmp_path, "")
    (tmp_path / "lofi_jax-0.1.0-py3-none-any.whl").touch()
    wheel = tmp_path / "lofi_jax-0.1.0-py3-none-any.whl"
    assert requirement(origin(tmp_path, there), "[cuda]") == f"{wheel}[cuda]"
    assert origin(commands.ROOT / "colabs", there) == str(commands.ROOT)


def test_the_notebook_names_the_repository_that_the_project_does():
    project = tomllib.loads((commands.ROOT / "pyproject.toml").read_text())["project"]
    address = project.get("urls", {}).get("Repository", "")
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        named = next(cell.source for cell in cells if "REPOSITORY =" in cell.source)
        assert f'REPOSITORY = "{address}"\n' in named


def test_the_badge_opens_the_notebook():
    """On Colab once the project has an address, before that as a file."""
    project = tomllib.loads((commands.ROOT / "pyproject.toml").read_text())["project"]
    address = project.get("urls", {}).get("Repository", "").removesuffix(".git")
    place = "colabs/quickstart.ipynb"
    if address:
        owned = address.removeprefix("https://github.com/")
        place = f"https://colab.research.google.com/github/{owned}/blob/main/{place}"
    badge = r"\[!\[Notebook\]\(https://colab\.research\.google\.com/[^)]*\.svg\)\]\(([^)]*)\)"
    assert re.findall(badge, (commands.ROOT / "README.md").read_text()) == [place]


HEADER = "| NVIDIA-SMI {0}.54.15    Driver Version: {0}.54.15    CUDA Version: {1} |"


@pytest.mark.parametrize(
    ("installed", "nvidia_smi", "tpu", "extra"),
    [
        ([], HEADER.format(550, 12.4), False, "[cuda]"),
        ([], HEADER.format(580, 13.0), False, "[cuda13]"),
        # As newer drivers say it.
        (
            [],
            "| NVIDIA-SMI 610.43.03  KMD Version: 610.43.03  CUDA UMD Version: 13.3 |",
            False,
            "[cuda13]",
        ),
        # What is there stays: a driver of CUDA 13 runs programs of CUDA 12.
        (["jax_cuda12_plugin"], HEADER.format(580, 13.0), False, "[cuda]"),
        (["jax_cuda13_plugin"], HEADER.format(580, 13.0), False, "[cuda13]"),
        ([], "", True, "[tpu]"),
        ([], "", False, ""),
        (["jax_cuda12_plugin"], "NVIDIA-SMI has failed: no driver", False, ""),
    ],
)
def test_the_notebook_installs_jax_for_the_machine(installed, nvidia_smi, tpu, extra):
    (extra_for,) = functions("extra_for")
    assert extra_for(installed, nvidia_smi, tpu) == extra


def test_the_extras_that_are_named_exist():
    project = tomllib.loads((commands.ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {"cuda", "cuda13", "tpu", "plan-gpu", "plan-tpu"} <= set(extras)
