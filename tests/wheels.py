"""The package's wheel, and environments to install it in, without anything to download."""

import importlib.util
import pathlib
import shutil
import subprocess
import sys
import venv
from importlib import metadata

import pytest
from commands import ROOT

PARTS = ("lofi_jax", "configs", "pyproject.toml", "setup.py", "README.md", "LICENSE")

# Of a site-packages' folder, which may hold an older wheel, setuptools reads a licence's name from
# 77 on.
_VERSION = metadata.version("setuptools") if importlib.util.find_spec("setuptools") else "0"
can_be_built = pytest.mark.skipif(
    int(_VERSION.partition(".")[0]) < 77, reason="no setuptools that builds the wheel"
)


def build(folder: pathlib.Path) -> pathlib.Path:
    """Builds the wheel into a folder, by way of one more in it; returns the file."""
    source = folder / "source"
    for part in PARTS:
        source.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def environment(folder: pathlib.Path) -> pathlib.Path:
    """Makes an environment that has all the package needs, but not the package; returns its bin/.

    What the package needs is taken from where these tests have it.
    """
    venv.create(folder, symlinks=True)
    (own,) = folder.glob("lib/python3*/site-packages")
    there = [
        path for path in sys.path if pathlib.Path(path).name in ("site-packages", "dist-packages")
    ]
    (own / "dependencies.pth").write_text("\n".join(there))
    return folder / "bin"


def install(wheel: pathlib.Path, folder: pathlib.Path) -> None:
    """Installs the wheel in an environment."""
    pip = [sys.executable, "-m", "pip", "--python", folder, "install", "--no-deps", "--no-index"]
    options = ["--quiet", "--disable-pip-version-check", "--ignore-installed"]
    subprocess.run([*pip, *options, wheel], check=True)
