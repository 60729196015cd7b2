"""The notebooks run from top to bottom, here on a tiny config."""

import ast
import re
import tomllib

import commands
import jax
import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((commands.ROOT / "colabs").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, finished_run, tmp_path, monkeypatch):
    # What the finished run has compiled need not be compiled again.
    cache = f"--config.log.cache_dir={finished_run[0].parent / 'cache'}"
    (tmp_path / "pyproject.toml").touch()
    for name in ("XLA_FLAGS", "JAX_PLATFORMS"):
        monkeypatch.setenv(name, commands.ENVIRONMENT[name])
    monkeypatch.setenv("PYTHONPATH", str(commands.ROOT))
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    settings = next(cell for cell in notebook.cells if "CONFIG =" in cell.source)
    settings.source += f"\nCONFIG, CHANGES = {str(commands.TINY)!r}, [{cache!r}]"
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=where).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in shown)
    assert f"JAX {jax.__version__} on 1 x cpu" in text
    assert "lofi - acp:" in text and "1 of 1 videos -> predictions.json" in text
    images = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(images) == 1 + 2 + 1


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
    notebook = nbformat.read(commands.ROOT / "colabs" / "quickstart.ipynb", as_version=4)
    source = next(cell.source for cell in notebook.cells if "def extra_for" in cell.source)
    (function,) = (
        node for node in ast.parse(source).body if getattr(node, "name", "") == "extra_for"
    )
    names = {"re": re}
    exec(ast.unparse(function), names)
    assert names["extra_for"](installed, nvidia_smi, tpu) == extra


def test_the_extras_that_are_named_exist():
    project = tomllib.loads((commands.ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {"cuda", "cuda13", "tpu", "plan-gpu", "plan-tpu"} <= set(extras)
