"""Stages of a workdir that are started anew, and keys and annotations that change with them."""

import json
import shutil

import pytest
from commands import main, refused, run

from lofi_jax.errors import UserError
from lofi_jax.run import rerun
from lofi_jax.run.workdir import Workdir

MADE = (
    "encoders/acp",
    "encoders/lofi_full_gtad",
    "features/acp",
    "features/lofi_full_gtad",
    "classifier/acp",
    "heads/acp_gtad",
    "heads/lofi_full_gtad",
    "detections/acp_gtad.json",
    "detections/lofi_full_gtad.json",
)


@pytest.mark.parametrize(
    ("stages", "kept"),
    [
        ("pretrain", ""),
        (
            "joint",
            "encoders/acp features/acp classifier/acp heads/acp_gtad detections/acp_gtad.json",
        ),
        ("extract", "encoders/acp encoders/lofi_full_gtad"),
        ("head", "encoders/acp encoders/lofi_full_gtad features/acp features/lofi_full_gtad"),
        ("joint,head", "encoders/acp features/acp"),
        ("detect", " ".join(MADE[:7])),
        ("evaluate,", " ".join(MADE)),
    ],
)
def test_a_stage_takes_with_it_what_came_of_it(tmp_path, stages, kept):
    for name in MADE:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch() if name.endswith(".json") else (tmp_path / name).mkdir()
    hidden = tmp_path / "detections" / ".lofi_full_gtad.made_from.json"
    hidden.touch()
    gone = rerun.discard(Workdir(tmp_path), rerun.parse(stages))
    assert [name for name in MADE if (tmp_path / name).exists()] == kept.split()
    assert hidden.exists() is (stages == "evaluate,")
    assert gone == [name for name in MADE if name not in kept.split()]


def test_an_unknown_stage_is_refused():
    with pytest.raises(UserError, match="--rerun: no stage 'train': choose from pretrain, joint"):
        rerun.parse("joint,train")


@pytest.mark.parametrize(
    ("stages", "key", "covered"),
    [
        (("joint",), "joint.epochs", True),
        (("pretrain",), "joint.epochs", True),
        (("head",), "joint.epochs", False),
        (("head", "detect"), "classifier.epochs", True),
        ((), "evaluate.tious", False),
        (("pretrain",), "seed", False),
    ],
)
def test_keys_may_change_with_the_stages_that_they_are_of(stages, key, covered):
    assert rerun.covers(stages, rerun.stage_of(key)) is covered


@pytest.fixture(scope="module")
def workdir(finished_run):
    return shutil.copytree(finished_run[0], finished_run[0].with_name("rerun"))


@pytest.mark.slow
def test_a_stage_is_named_that_a_change_needs_and_done_anew_with_it(workdir):
    before = (workdir / "heads" / "acp_gtad" / "curve.jsonl").stat().st_mtime_ns
    change = "--config.joint.epochs=1.0"
    ended = run(*main(workdir, change))
    assert refused(ended, "joint.epochs: 3.0 -> 1.0", "start the stage anew with --rerun=joint")
    assert refused(run(*main(workdir, change, "--rerun=head")), "--rerun=joint")
    ended = run(*main(workdir, change, "--rerun=joint"))
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    for name in ("encoders", "features", "heads"):
        assert f"rerun: {name}/lofi_temporal_gtad is made anew\n" in ended.stdout
    assert ended.stdout.count("rerun: ") == 4
    steps = (workdir / "encoders" / "lofi_temporal_gtad" / "checkpoints").iterdir()
    assert max(int(path.name) for path in steps) == 2
    assert (workdir / "heads" / "acp_gtad" / "curve.jsonl").stat().st_mtime_ns == before
    assert json.loads((workdir / "config.json").read_text())["joint"]["epochs"] == 1.0


@pytest.mark.slow
def test_a_row_more_trains_only_what_it_lacks(finished_run):
    workdir = shutil.copytree(finished_run[0], finished_run[0].with_name("rows"))
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("curve.jsonl")}
    rows = [row["start"] for row in json.loads((workdir / "results.json").read_text())["rows"]]
    assert "icp" not in rows
    ended = run(*main(workdir, "--config.rows=acp,icp"))
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    new = {path.parent.name for path in workdir.rglob("curve.jsonl")} - {
        path.parent.name for path in before
    }
    assert new == {"icp_gtad"}
    rows = [row["start"] for row in json.loads((workdir / "results.json").read_text())["rows"]]
    assert rows == ["acp", "icp"]


def test_other_annotations_name_the_stages_that_learn_from_them(workdir):
    # As if the run had been made before its annotations changed.
    noted = json.loads((workdir / "learned_from.json").read_text())
    (workdir / "learned_from.json").write_text(json.dumps(noted | {"target": "another"}))
    epochs = json.loads((workdir / "config.json").read_text())["joint"]["epochs"]
    ended = run(*main(workdir, f"--config.joint.epochs={epochs}", "--config.stages=data"))
    assert refused(ended, "was trained with other annotations", "--rerun=joint,head")
