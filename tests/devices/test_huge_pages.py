"""A command on a CPU begins with huge pages where the system gives them on request."""

import os
import subprocess
import sys

import pytest
from commands import ROOT

from lofi_jax.devices import huge_pages

ON_REQUEST, ALWAYS = "always [madvise] never", "[always] madvise never"
SAYS = """
import os, sys
from lofi_jax.devices import huge_pages
print("begins", *sys.argv[1:])
huge_pages.begin_with()
print(os.environ.get("GLIBC_TUNABLES"))
"""


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """How the process is begun anew: its arguments and environment."""
    found = []
    monkeypatch.setattr(os, "execve", lambda *arguments: found.append(arguments))
    monkeypatch.setattr(huge_pages, "_SETTING", tmp_path / "enabled")
    monkeypatch.setattr(huge_pages.at_hand, "is_cpu", lambda: True)
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.36")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "lofi_jax.main", "--workdir=D"])
    monkeypatch.setattr(sys, "argv", ["/lofi_jax/main.py", "--workdir=D"])
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    huge_pages._SETTING.write_text(ON_REQUEST)
    return found


def test_it_begins_with_the_same_arguments_and_glibcs_variable(begun):
    huge_pages.begin_with()
    ((program, arguments, environment),) = begun
    assert (program, arguments) == (sys.executable, sys.orig_argv)
    assert "glibc.malloc.hugetlb=1" in environment.pop("GLIBC_TUNABLES")
    assert environment == dict(os.environ)


@pytest.mark.parametrize("setting", [ALWAYS, "always madvise [never]", None])
def test_not_where_the_system_gives_none_on_request(begun, setting):
    huge_pages._SETTING.unlink()
    if setting:
        huge_pages._SETTING.write_text(setting)
    huge_pages.begin_with()
    assert not begun


def test_not_where_the_user_has_set_the_variable(begun, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    huge_pages.begin_with()
    assert not begun


def test_not_with_another_c_library(begun, monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    huge_pages.begin_with()
    assert not begun


def test_not_with_a_gpu(begun, monkeypatch):
    monkeypatch.setattr(huge_pages.at_hand, "is_cpu", lambda: False)
    huge_pages.begin_with()
    assert not begun


def test_not_within_another_program(begun, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "own.py", "--epochs=3"])
    huge_pages.begin_with()
    assert not begun


def test_a_process_begins_once_more_and_only_once(tmp_path):
    if not huge_pages._on_request():
        pytest.skip("this system gives no huge pages on request")
    script = tmp_path / "says.py"
    script.write_text(SAYS)
    environment = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, script, "a b", "--c=d"], env=environment, capture_output=True, text=True
    )
    said = ended.stdout.splitlines()
    assert said[:2] == ["begins a b --c=d"] * 2, ended.stderr
    assert len(said) == 3 and said[2].startswith("glibc.malloc.hugetlb=1:")
