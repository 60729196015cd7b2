"""Files are written whole or not at all, and one that was cut short is named."""

import os
import pathlib
import re
import stat

import pytest

import lofi_jax
from lofi_jax import files
from lofi_jax.errors import UserError
from lofi_jax.run import made_from
from lofi_jax.run.start import load_run
from lofi_jax.run.workdir import Workdir


class Killed(BaseException):
    """What ends a program anywhere."""


def test_what_ends_in_the_middle_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "a.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(Killed), files.aside(path) as unfinished:
        unfinished.write_text("{")
        raise Killed
    assert files.read_own_json(path) == {"old": 1} and list(path.parent.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(_name(file)), sync(file)))
    monkeypatch.setattr(
        os, "replace", lambda a, b: (done.append(pathlib.Path(b).name), rename(a, b))
    )
    files.write_text(tmp_path / "a.txt", "words")
    assert len(done) == 2 and done[0].startswith(".a.txt.") and done[1] == "a.txt"
    with files.aside(tmp_path / "b", lasting=False) as unfinished:
        unfinished.touch()
    assert done[2:] == ["b"]


def _name(file):
    assert stat.S_ISREG(os.fstat(file).st_mode)
    return pathlib.Path(os.readlink(f"/proc/self/fd/{file}")).name


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "the file is empty"), ('{"seed": 1, "da', "not JSON"), ("\0" * 9, "not JSON")],
)
def test_a_cut_file_of_a_workdir_is_named(tmp_path, content, says):
    workdir = Workdir(tmp_path)
    workdir.config.write_text(content)
    with pytest.raises(UserError, match=f"^{re.escape(str(workdir.config))}: {says}"):
        load_run(tmp_path)


def test_what_a_cut_note_vouches_for_is_made_again(tmp_path):
    made, source = tmp_path / "made.json", tmp_path / "source"
    source.touch()
    made_from.stamp(made, {"source": source}, made.touch)
    assert made_from.is_made_from(made, {"source": source})
    (note,) = tmp_path.glob(".made*")
    note.write_text(note.read_text()[:9])
    assert not made_from.is_made_from(made, {"source": source})


def test_the_package_writes_no_file_in_place():
    root = pathlib.Path(lofi_jax.__file__).parent
    in_place = re.compile(r"(?<!unfinished)\.write_(text|bytes)\(|savefig\((?!unfinished|png)")
    found = [path for path in root.rglob("*.py") if in_place.search(path.read_text())]
    assert [path.relative_to(root).as_posix() for path in found] == []
