"""The notebooks run from top to bottom, here on a tiny config."""

import ast
import json
import re
import shutil
import tomllib

import commands
import jax
import nbclient
import nbformat
import pytest
import wheels

NOTEBOOKS = sorted((commands.ROOT / "colabs").glob("*.ipynb"))


@pytest.fixture
def kernel(tmp_path_factory, monkeypatch) -> str:
    """The name of a kernel in an environment without lofi_jax, in which nothing is downloaded."""
    folder = tmp_path_factory.mktemp("kernel")
    python = wheels.environment(folder / "environment") / "python"
    spec = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    spec |= {"display_name": "fresh", "language": "python"}
    (folder / "kernels" / "fresh").mkdir(parents=True)
    (folder / "kernels" / "fresh" / "kernel.json").write_text(json.dumps(spec))
    for name in ("XLA_FLAGS", "JAX_PLATFORMS"):
        monkeypatch.setenv(name, commands.ENVIRONMENT[name])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for name, value in (("JUPYTER_PATH", folder), ("PIP_NO_INDEX", 1), ("PIP_NO_DEPS", 1)):
        monkeypatch.setenv(name, str(value))
    return "fresh"


@wheels.can_be_built
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_in_a_folder_that_holds_only_the_wheel(
    path, kernel, finished_run, tmp_path, tmp_path_factory
):
    shutil.copy(wheels.build(tmp_path_factory.mktemp("wheel")), tmp_path)
    # A run that is already there, in place of minutes of training.
    run = shutil.copytree(finished_run[0], tmp_path_factory.mktemp("there") / "run")
    cache = f"--config.log.cache_dir={finished_run[0].parent / 'cache'}"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    settings = next(cell for cell in notebook.cells if "CONFIG =" in cell.source)
    settings.source += f"\nCONFIG, WORKDIR = {str(commands.TINY)!r}, {str(run)!r}"
    settings.source += f"\nCHANGES = [{cache!r}]"
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name=kernel, resources=where).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in shown)
    assert f"JAX {jax.__version__} on 1 x cpu" in text
    assert "lofi - acp:" in text and "1 of 1 videos -> predictions.json" in text
    images = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(images) == 1 + 2 + 1


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
    assert f'REPOSITORY = "{address}"\n' in (
        next(
            cell.source
            for cell in nbformat.read(NOTEBOOKS[0], as_version=4).cells
            if "REPOSITORY =" in cell.source
        )
    )


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
