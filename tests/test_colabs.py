"""The notebooks run from top to bottom, here on a tiny config."""

import commands
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
    assert "lofi - acp:" in text and "1 of 1 videos -> predictions.json" in text
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) == 1 + 2 + 1
