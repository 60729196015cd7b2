"""The main command end to end: what it leaves behind, how it goes on after a kill, and what bad
input gets.
"""

import errno
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import struct
import subprocess
import time

import cv2
import numpy as np
import pytest
import spliced
from commands import (
    LONG,
    OFTEN,
    TINY,
    begun,
    main,
    misused,
    refused,
    run,
    run_each,
    start,
    wait_for_steps,
)
from tensorboardX.proto.event_pb2 import Event

from lofi_jax.results import predictions


def rows(workdir: pathlib.Path) -> list[dict]:
    return json.loads((workdir / "results.json").read_text())["rows"]


def table(printed: str) -> list[str]:
    """The printed lines from the table's head to its last difference."""
    lines = printed.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("start "))
    return lines[first : lines.index(next(line for line in lines if line.startswith("stage ")))]


def scalars(folder: pathlib.Path) -> list[tuple[int, str]]:
    """The (step, tag) of all that a folder's TensorBoard files hold."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            found += [(event.step, value.tag) for value in event.summary.value]
            data = data[16 + length :]
    return found


def test_a_finished_run_leaves_what_the_contract_says(finished_run):
    workdir, ended = finished_run
    results = json.loads((workdir / "results.json").read_text())
    assert results["dataset"] == "synthetic"
    assert [(row["start"], row["fidelity"], row["head"]) for row in results["rows"]] == [
        ("acp", "none", "gtad"),
        ("lofi", "temporal", "gtad"),
    ]
    tious = [f"{tiou:.2f}" for tiou in np.arange(0.5, 1.0, 0.05)]
    for row in results["rows"]:
        assert list(row["mAP"]) == tious
        assert 0 < row["average_mAP"] < 1
        assert row["average_mAP"] == pytest.approx(np.mean(list(row["mAP"].values())))
    stages = ["data", "pretrain", "joint", "extract", "head", "detect", "evaluate"]
    assert list(results["seconds"]) == stages and min(results["seconds"].values()) >= 0

    found = predictions.load(workdir / "detections.json")
    assert list(found.video_ids) == [f"target_testing_{i:05d}" for i in range(4)]
    assert len(found.score) and found.segment.min() >= 0 and found.segment.max() <= 32.0
    drawn = sorted(path.name for path in (workdir / "timelines").iterdir())
    assert drawn == [f"target_testing_{i:05d}.png" for i in range(2)]
    for path in [*(workdir / "timelines").iterdir(), workdir / "curves.png"]:
        assert cv2.imread(str(path)).std() > 0
    logs = list(workdir.rglob("tensorboard"))
    assert len(logs) == 5  # two encoders, two heads, the classifier
    for folder in logs:
        logged = scalars(folder)
        last = max(step for step, _ in logged)
        assert [step for step, tag in logged if tag == "loss"] == list(range(1, last + 1))
    assert ended.stderr == ""


def test_the_table_shows_both_rows_and_their_difference(finished_run):
    workdir, ended = finished_run
    head, acp, lofi, _, difference = table(ended.stdout)[:5]
    measured = [100 * row["average_mAP"] for row in rows(workdir)]
    assert "average" in head and f"{measured[0]:.2f}" in acp and f"{measured[1]:.2f}" in lofi
    assert difference == f"lofi - acp: {measured[1] - measured[0]:+.1f} points"
    for name in ("prepare", "pretrain", "joint", "extract", "classifier", "head"):
        assert any(line.startswith(name) for line in ended.stdout.splitlines())


def written(workdir: pathlib.Path) -> dict[pathlib.Path, int]:
    """When each file of a stage that takes long was written."""
    parts = ("data", "encoders", "features", "classifier", "heads")
    paths = [path for part in parts for path in (workdir / part).rglob("*") if path.is_file()]
    return {
        path: path.stat().st_mtime_ns for path in paths if path.name not in (".lock", "report.json")
    }


def test_a_rerun_repeats_no_stage_and_prints_the_same_table(finished_run):
    unbroken, ended = finished_run
    workdir = shutil.copytree(unbroken, unbroken.with_name("again"))
    before = written(workdir)
    again = run(*main(workdir))
    assert again.returncode == 0 and again.stderr == ""
    assert table(again.stdout) == table(ended.stdout)
    assert written(workdir) == before
    assert not any(
        name in again.stdout for name in ("pretrain (", "joint (", "extract (", "head (")
    )


# What the workdir holds at least when the run is killed.
MOMENTS = {
    "the world is rendered": ("data/world/source/videos/*.mp4", 3),
    "a dataset is written": ("data/*/*/unfinished*/finished/*.json", 1),
    "pretraining is at step 3": ("encoders/acp/checkpoints/3", 1),
    "joint training is at step 2": ("encoders/lofi_temporal_gtad/checkpoints/2", 1),
    "the second encoder's features are written": ("features/lofi_temporal_gtad/*.npy", 3),
    "the second head is at step 2": ("heads/lofi_temporal_gtad/checkpoints/2", 1),
}


@pytest.mark.faults  # by default tests/faults/test_kills.py kills a run
def test_a_run_killed_again_and_again_ends_with_the_same_numbers(finished_run):
    unbroken, ended = finished_run
    workdir = unbroken.with_name("killed")
    for pattern, count in MOMENTS.values():
        with start(*main(workdir, OFTEN)) as process:
            while process.poll() is None and len(list(workdir.glob(pattern))) < count:
                time.sleep(0.002)
            process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = run(*main(workdir))
    assert last.returncode == 0, last.stderr
    assert rows(workdir) == rows(unbroken)
    assert table(last.stdout) == table(ended.stdout)
    assert (workdir / "detections.json").read_text() == (unbroken / "detections.json").read_text()


@pytest.mark.parametrize(
    ("number", "says", "code"),
    [
        pytest.param(
            *(
                signal.SIGTERM,
                r"error: joint \(.*\): received SIGTERM; saved at step (\d+); rerun",
                1,
            ),
            marks=pytest.mark.slow,
        ),
        (signal.SIGINT, r"joint \(.*\): interrupted; saved at step (\d+); rerun to resume\n", 130),
    ],
)
def test_a_training_that_is_told_to_end_saves_where_it_is(finished_run, number, says, code):
    unbroken, _ = finished_run
    workdir = unbroken.with_name(f"told_{number.name}")
    folder = begun(workdir, unbroken)
    with start(*main(workdir, *LONG)) as process:
        wait_for_steps(folder, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    step = int(re.match(says, err)[1])
    assert process.returncode == code and err.count("\n") == 1 and step >= 1
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [str(step)]
    with start(*main(workdir, *LONG)) as process:
        assert any(f"resuming from {step} of 10000 steps" in line for line in process.stdout)
        process.kill()


def test_another_config_in_an_old_workdir_is_refused_by_key(finished_run):
    workdir, _ = finished_run
    ended = run(*main(workdir, "--config.joint.epochs=4", "--config.seed=1"))
    assert refused(ended, str(workdir), "joint.epochs: 3.0 -> 4.0", "seed: 0 -> 1")


def test_checkpoints_of_another_run_on_another_number_of_devices_are_taken(finished_run):
    unbroken, _ = finished_run
    workdir = unbroken.with_name("taker")
    encoder, head = "encoders/lofi_temporal_gtad", "heads/lofi_temporal_gtad"
    ended = run(
        *main(workdir, "--config.rows=acp", "--config.mesh.cpu_devices=1"),
        f"--config.data.data_dir={unbroken / 'data'}",
        f"--config.encoder_checkpoint={unbroken / encoder / 'checkpoints'}",
        f"--config.head_checkpoint={unbroken / head / 'checkpoints'}",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("not needed, it comes from") == 2
    assert not (workdir / "encoders").exists() and not (workdir / "heads").exists()
    features = [
        np.load(folder / "target_testing_00000.npy")
        for folder in (workdir / "features/acp", unbroken / "features/lofi_temporal_gtad")
    ]
    np.testing.assert_allclose(*features, atol=1e-4)
    # The same proposals; their order and labels come from another classifier.
    taken, made = (
        json.loads((folder / "detections" / name).read_text())["results"]
        for folder, name in (
            (workdir, "acp_gtad.json"),
            (unbroken, "lofi_temporal_gtad.json"),
        )
    )
    for video in made:
        times = [sorted({tuple(d["segment"]) for d in part[video]}) for part in (taken, made)]
        np.testing.assert_allclose(*times, atol=1e-3)


def test_detect_and_evaluate_run_alone_with_any_head(finished_run):
    unbroken, _ = finished_run
    workdir = shutil.copytree(unbroken, unbroken.with_name("alone"))
    older = workdir / "heads" / "acp_gtad" / "checkpoints" / "3"
    alone = "--config.stages=detect,evaluate"
    ended = run(*main(workdir, alone, f"--config.head_checkpoint={older}"))
    assert ended.returncode == 0, ended.stderr
    assert rows(workdir)[0]["AR"] != rows(unbroken)[0]["AR"]
    shutil.rmtree(workdir / "features")
    ended = run(*main(workdir, alone))
    assert refused(ended, "features", "run the stage extract first"), ended.stderr


WRONG_CONFIG = """from lofi_jax.config import defaults, named
def get_config():
    c = defaults()
    c.dataset = "synthetic"
    {}
    return c
"""
WRONG_LINES = {
    "key": "c.joint.epoch = 1",
    "option": "c.encoder = named('tsm_resnet', depth=1)",
}
WRONG = {
    "a workdir that cannot be written": (
        "--workdir={folder}/file/run",
        "{folder}/file/run: cannot be written",
    ),
    "a workdir whose cache is no folder": (
        "--config.log.cache_dir={folder}/file",
        "{folder}/file: is no folder, so it keeps no compiled programs",
    ),
    "an unknown key": (
        "--config.joint.foo=1",
        "--config.joint.foo=1: the config has no key 'foo'",
    ),
    "an unknown key in the file": (
        "--config={folder}/key.py",
        "key.py, line 5: the config has no key 'epoch': did you mean \"epochs\"?",
    ),
    "an unknown option of the encoder": (
        "--config={folder}/option.py",
        "config.encoder: tsm_resnet cannot be made with",
    ),
    "a later config file without a config": (
        "--config={folder}/empty.py",
        "--config={folder}/empty.py: no config (",
    ),
    "no such config file": (
        "--config={folder}/none.py",
        "--config={folder}/none.py: no such file, and no config of this name",
    ),
    "a value of the wrong type": (
        "--config.joint.epochs=many",
        "--config.joint.epochs=many: could not convert",
    ),
    "an unknown stage": (
        "--config.stages=data,train",
        "config.stages is 'train': choose one of data, pretrain,",
    ),
    "a factor that does not divide": (
        "--config.joint.factors.temporal=3",
        "the temporal factor 3 does not divide the 16 snippets",
    ),
}


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """How the main job ends for each entry of `WRONG`, and where its files lie."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "file").touch()
    for name, line in WRONG_LINES.items():
        (folder / f"{name}.py").write_text(WRONG_CONFIG.format(line))
    (folder / "empty.py").touch()
    usual = ["main", f"--config={TINY}", f"--workdir={folder / 'run'}"]
    jobs = {name: [*usual, given.format(folder=folder)] for name, (given, _) in WRONG.items()}
    return run_each(jobs), folder


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_one_line_that_says_so(wrong, what):
    ended, folder = wrong
    at_fault = refused if what.startswith("a workdir") else misused
    assert at_fault(ended[what], WRONG[what][1].format(folder=folder)), ended[what].stderr
    assert not (folder / "run").exists()


def test_a_full_disk_is_one_line_and_a_rerun_goes_on(finished_run):
    unbroken, _ = finished_run
    workdir = unbroken.with_name("full")
    arguments = main(
        workdir,
        f"--config.data.data_dir={unbroken / 'data'}",
        "--config.rows=acp",
        "--config.stages=pretrain",
    )
    small = 16 << 10

    with start(*arguments) as process:
        # From outside, for a function between fork and exec is no place for a process with threads.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (small, small))
        out, err = process.communicate(timeout=300)
    ended = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    assert refused(ended, str(workdir), os.strerror(errno.EFBIG))
    assert not (workdir / "encoders/acp/checkpoints/6").exists()
    assert run(*arguments).returncode == 0
    assert (workdir / "encoders/acp/checkpoints/6").exists()


@pytest.mark.slow
def test_a_folder_of_videos_with_bad_ones_among_them(shared_data, tmp_path):
    spliced.make(
        tmp_path,
        shared_data / "videos",
        training=6,
        testing=3,
        seconds=(1.0, 2.0),
        size=(36, 48),
        fps=8,
    )
    videos, path = tmp_path / "videos", tmp_path / "annotations.json"
    (videos / "hollow.mp4").touch()
    shutil.copy(videos / "training_000.mp4", videos / "extra.mp4")
    shutil.copy(videos / "training_000.mp4", videos / "v_idle.mp4")
    annotated = json.loads(path.read_text())
    database = annotated["database"]
    segments = database["training_001"]["annotations"]
    segments += [{"segment": s, "label": "cleaning a pool"} for s in ([3, 3], [5, 2], [1, 999])]
    database["gone"] = database["training_002"]
    database["hollow"] = database["testing_000"]
    database["idle"] = {"subset": "training", "annotations": []}
    path.write_text(json.dumps(annotated))

    small = {
        "data.snippets": 16,
        "data.frames": 2,
        "data.height": 16,
        "data.width": 16,
        "data.short_side": 16,
        "encoder.stage_sizes": (1,),
        "encoder.widths": (8,),
        "head.channels": 16,
        "head.widths": (16, 16),
        "head.bins": (4, 2),
        "head.groups": 4,
        "pretrain.epochs": 4,
        "joint.epochs": 1,
        "head_training.epochs": 2,
        "classifier.epochs": 2,
        "timelines": 1,
    }
    overrides = [f"--config.{key}={value}" for key, value in small.items()]
    folder = pathlib.Path("configs/video_folder.py")
    workdir = tmp_path / "run"
    ended = run(
        *main(
            workdir,
            *overrides,
            f"--config.data.video_dir={videos}",
            f"--config.data.annotations={path}",
            config=folder,
        )
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    for line in (
        "video_folder: 10 videos (7 in training, 3 in testing)",
        "2 segments with end <= start (dropped): training_001",
        "1 segments ending over 0.01 s past the duration (clipped): training_001",
        "1 videos without segments: idle",
        "1 annotated videos missing from the folder: gone",
        "1 video files without an annotation: extra.mp4",
        "1 unreadable videos (left out): hollow: ",
    ):
        assert line in ended.stdout
    assert json.loads((workdir / "results.json").read_text())["dataset"] == "video_folder"
    assert [line.split()[0] for line in table(ended.stdout)[1:3]] == ["acp", "lofi"]
    assert list(predictions.load(workdir / "detections.json").video_ids) == [
        f"testing_{i:03d}" for i in range(3)
    ]
