"""One writer at a time, who is named; a dead one holds nobody back."""

import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest
import tiny
from commands import main, refused, run
from small_videos import annotated, save_annotations, write_video

from lofi_jax import config as configs
from lofi_jax import locks
from lofi_jax.config import typed
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import dataset, records
from lofi_jax.data.streamed import scan
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


def test_a_refused_main_leaves_the_workdir_of_the_one_at_work_as_it_was(tmp_path):
    workdir = tmp_path / "run"
    (workdir / "heads" / "acp_gtad").mkdir(parents=True)
    (workdir / "heads" / "acp_gtad" / "curve.jsonl").touch()
    (workdir / "config.json").write_text(configs.to_json(typed(tiny.get_config())))
    before = {path: os.stat(path) for path in workdir.rglob("*")}
    with locks.inside(workdir):
        lock = workdir / ".run.lock"
        ended = run(
            *main(workdir, "--nowait", "--rerun=head", "--config.head_training.epochs=7"),
        )
        assert refused(ended, f"{workdir}: process {os.getpid()} on "), ended.stderr
        after = {path: os.stat(path) for path in workdir.rglob("*") if path != lock}
    assert {path: (s.st_ino, s.st_mtime_ns) for path, s in after.items()} == {
        path: (s.st_ino, s.st_mtime_ns) for path, s in before.items()
    }


def test_main_waits_for_who_makes_its_dataset_only_if_it_may(tmp_path):
    folder = records.folder_of(tmp_path / "data", "synthetic_target", Sampling(16, 2, 0, 16))
    few = [f"--config.synthetic.{part}=10" for part in ("source_clips", "train_videos")]
    data = f"--config.data.data_dir={tmp_path / 'data'}"
    with locks.only(folder):
        ended = run(*main(tmp_path / "run", "--nowait", "--config.stages=data", data, *few))
    assert refused(ended, f"{folder}: process {os.getpid()} on "), ended.stderr


def test_a_second_scan_ends_if_it_may_not_wait(tmp_path):
    write_video(tmp_path / "videos" / "a.mp4", 20)
    database = {"a": annotated("training", (0, 1, "run"), duration=2.0)}
    annotations = save_annotations(tmp_path / "a.json", database)
    given = "video_folder", tmp_path / "videos", annotations, tmp_path / "data"
    sampling = Sampling(snippets=2, frames=2, stride=0, short_side=16)
    path = tmp_path / "data" / "video_folder" / f"streamed_{sampling.name}.json"
    with locks.only(path), pytest.raises(UserError, match="is writing there: let it end"):
        scan.scan(*given, sampling, wait=False)
