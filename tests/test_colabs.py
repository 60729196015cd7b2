"""The notebooks run from top to bottom, here on a tiny config."""

import pathlib

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]

TINY = """
from configs_synthetic import get_config as whole


def get_config():
    c = whole()
    c.synthetic.source_clips, c.synthetic.train_videos, c.synthetic.test_videos = 48, 8, 4
    c.data.snippets, c.data.frames, c.data.height, c.data.width = 16, 2, 16, 16
    c.pretrain.epochs = c.joint.epochs = c.head_training.epochs = c.classifier.epochs = 1.0
    return c
"""


@pytest.mark.parametrize("path", sorted((ROOT / "colabs").glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "configs_synthetic.py").write_bytes((ROOT / "configs/synthetic.py").read_bytes())
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit notebooks without output"
    settings = next(cell for cell in notebook.cells if "CONFIG =" in cell.source)
    settings.source = settings.source.replace("configs/synthetic.py", str(tmp_path / "tiny.py"))
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in shown)
    assert "lofi - acp:" in text and "1 of 1 videos -> predictions.json" in text
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) == 1 + 3 + 1
