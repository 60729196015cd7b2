"""Files are written whole or not at all, and one that was cut short is named."""

import os
import pathlib
import re
import stat

import pytest

import lofi_jax
from lofi_jax import files, locks
from lofi_jax.errors import UserError, naming_full_disk
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
    assert len(done) == 2 and done[0].startswith(".") and done[1] == "a.txt"
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


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "\u00e9" * 127])
def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path, name):
    files.try_to_write(tmp_path / name)
    files.write_text(tmp_path / name, "words")
    with locks.only(tmp_path / name):
        assert files.read_text(tmp_path / name) == "words"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("inside", ["a" * 256, "new/" + "a" * 256, "a" * 256 + "/a.txt"])
def test_a_longer_name_is_refused_before_the_work(tmp_path, inside):
    with pytest.raises(UserError, match="cannot be written .File name too long.: name another"):
        files.try_to_write(tmp_path / inside)
    assert list(tmp_path.iterdir()) == []


SPECIAL = {
    "a pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/null"),
    "a link to an output": lambda path: path.symlink_to("/proc/self/fd/1"),
}


@pytest.mark.parametrize("what", SPECIAL)
def test_no_file_takes_the_place_of_a_pipe_or_a_device(tmp_path, what):
    path = tmp_path / "a.json"
    SPECIAL[what](path)
    before = os.lstat(path)
    for write in (files.try_to_write, lambda path: files.write_json(path, 1)):
        with pytest.raises(UserError, match="a.json: cannot be written .it is a pipe, a device"):
            write(path)
    after = os.lstat(path)  # whose time of access changes where a link is followed
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert list(tmp_path.iterdir()) == [path]


IN_THE_WAY = {
    "a folder": (pathlib.Path.mkdir, "", "it is a folder"),
    "a file": (pathlib.Path.touch, "a.json", "{path} is no folder"),
    "a dangling link": (
        lambda path: path.symlink_to("nowhere"),
        "a.json",
        "{path} is a link that leads nowhere",
    ),
    "a loop": (lambda path: path.symlink_to(path), "", "it is a link"),
}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_in_the_way_is_named_with_the_remedy(tmp_path, what):
    make, inside, says = IN_THE_WAY[what]
    there = tmp_path / "there"
    make(there)
    says = f"{there / inside}: cannot be written ({says.format(path=there)}): move or delete it"
    for write in (files.try_to_write, lambda path: files.write_text(path, "words")):
        with pytest.raises(UserError) as caught:
            write(there / inside)
        assert str(caught.value) == says
    with pytest.raises(UserError, match="move or delete it and rerun"):
        with naming_full_disk(tmp_path), files.aside(there / inside):
            pass


def test_a_folder_that_is_there_is_not_in_the_way(tmp_path):
    with pytest.raises(FileExistsError), naming_full_disk(tmp_path):
        tmp_path.mkdir()


@pytest.mark.parametrize(
    "make", [pathlib.Path.touch, pathlib.Path.mkdir, lambda path: path.symlink_to("kept")]
)
def test_files_links_and_folders_are_removed_alone(tmp_path, make):
    (tmp_path / "kept").mkdir()
    make(tmp_path / "a")
    for _ in range(2):
        files.remove(tmp_path / "a")
        assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


def test_only_what_killed_writers_left_long_ago_is_removed(tmp_path):
    old, new = (tmp_path / f".{digit * 32}.tmp" for digit in "01")
    others = tmp_path / ".other.tmp"
    for path in (old, new, others):
        path.touch()
    for path in (old, others):
        os.utime(path, (1, 1))
    files.remove_abandoned(tmp_path, tmp_path / "missing")
    assert sorted(tmp_path.iterdir()) == [new, others]


def test_the_package_writes_no_file_in_place():
    root = pathlib.Path(lofi_jax.__file__).parent
    in_place = re.compile(r"(?<!unfinished)\.write_(text|bytes)\(|savefig\((?!unfinished|png)")
    found = [path for path in root.rglob("*.py") if in_place.search(path.read_text())]
    assert [path.relative_to(root).as_posix() for path in found] == []
