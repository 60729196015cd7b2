"""One writer at a time, who is named; a dead one holds nobody back."""

import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest
from small_videos import annotated, save_annotations, write_video

from lofi_jax import locks
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import dataset
from lofi_jax.errors import UserError

HOLDER = """
import sys, time
from lofi_jax import locks
with locks.only(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path, seconds: float) -> subprocess.Popen:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(seconds)],
        stdout=subprocess.PIPE,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert process.stdout and process.stdout.readline() == b"held\n"
    return process


def test_a_second_writer_is_told_who_is_at_work_and_a_dead_one_is_no_hindrance(tmp_path, capsys):
    with holder(tmp_path / "run", 600) as process:
        with (
            pytest.raises(UserError, match=f"run: process {process.pid} on .*, since 20.* is writ"),
            locks.only(tmp_path / "run", wait=False),
        ):
            pass
        process.kill()
        process.wait()
        with locks.only(tmp_path / "run", wait=False):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_waits(tmp_path, capsys):
    with holder(tmp_path / "run", 0.5), locks.only(tmp_path / "run"):
        assert "run: process" in capsys.readouterr().err


@pytest.mark.parametrize(
    "make", [os.mkfifo, pathlib.Path.mkdir, lambda path: path.symlink_to("other")]
)
def test_a_lock_is_a_file_of_its_own(tmp_path, make):
    (tmp_path / "other").write_text("words " * 100)
    make(tmp_path / ".run.lock")
    with (
        pytest.raises(UserError, match="/.run.lock: .*: move or delete it"),
        locks.only(tmp_path / "run"),
    ):
        pass
    assert (tmp_path / "other").read_text() == "words " * 100


def test_never_two_at_once(tmp_path):
    inside, most = 0, 0

    def enter():
        nonlocal inside, most
        for _ in range(50):
            with locks.only(tmp_path / "run"):
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_finished_dataset_is_used_without_writing(tmp_path, monkeypatch):
    write_video(tmp_path / "videos" / "a.mp4", 20)
    database = {"a": annotated("training", (0, 1, "run"), duration=2.0)}
    annotations = save_annotations(tmp_path / "a.json", database)
    given = "video_folder", tmp_path / "videos", annotations, tmp_path / "data"
    sampling = Sampling(snippets=2, frames=2, stride=0, short_side=16)
    _, made = dataset.build(*given, sampling)

    def read_only(*_, **__):
        raise OSError("a disk that takes nothing")

    for name in ("mkdir", "rename", "replace", "unlink", "rmdir"):
        monkeypatch.setattr(f"os.{name}", read_only)
    _, again = dataset.build(*given, sampling)
    assert again == made
