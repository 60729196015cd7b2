"""The doctor as a user calls it, on videos made for it; and what main says first."""

import json

import jax
import pytest
from commands import TINY, refused, run
from small_videos import annotated, save_annotations, write_video

from lofi_jax.checkup.finding import Severity
from lofi_jax.config import typed
from lofi_jax.jobs import checkup
from lofi_jax.run import networks
from lofi_jax.run.workdir import Workdir
from lofi_jax.training.checkpoints import save_state

from tiny import get_config  # isort: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten videos of 4 s."""
    folder = tmp_path_factory.mktemp("doctor")
    for i in range(10):
        write_video(folder / "videos" / f"v{i}.mp4", 40)
    return folder


def annotations(folder, factor, test_label):
    database = {
        f"v{i}": annotated(
            "training" if i < 6 else "testing",
            (0.5 * factor, 1.5 * factor, "run" if i < 6 else test_label),
            (2.0 * factor, 3.0 * factor, "run"),
        )
        for i in range(10)
    }
    return save_annotations(folder / f"{factor}_{test_label[:9]}.json", database)


def arguments(folder, path, *more):
    return [
        "doctor",
        f"--config={TINY}",
        f"--workdir={folder / 'workdir'}",
        "--config.dataset=video_folder",
        f"--config.data.video_dir={folder / 'videos'}",
        f"--config.data.annotations={path}",
        *more,
    ]


def test_frames_for_seconds_stop_the_run_and_come_first(folder):
    ended = run(*arguments(folder, annotations(folder, 10, "rnu")))
    assert ended.returncode == 1 and ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("STOP     annotated times are probably frames: 100 percent")
    assert lines[1] == "         -> divide them by the frame rate in the annotation file"
    found = [line.split()[0] for line in lines if line[:4] in ("STOP", "WARN", "NOTE")]
    assert found == sorted(found, key=["STOP", "WARNING", "NOTE"].index)
    assert any("'rnu' (is it 'run'?)" in line for line in lines)
    assert not (folder / "workdir").exists()


def test_sound_videos_are_let_go(folder):
    config = get_config()
    config.dataset = "video_folder"
    config.data.video_dir = str(folder / "videos")
    config.data.annotations = str(annotations(folder, 1, "run"))
    for recipe in (config.pretrain, config.joint, config.head_training, config.classifier):
        recipe.epochs, recipe.batch_size = 400.0, 1
    checked = checkup.whole(typed(config), Workdir(folder / "workdir"))
    # How fast frames decode is the machine's matter, and no more than a note.
    assert [finding for finding in checked.findings if "decode" not in finding.what] == []
    facts = "\n".join(checked.facts)
    assert "6 training videos with 12 instances; 4 test videos with 8 instances" in facts
    assert "anchors, full: recall is at most 100.0 / 100.0 / 100.0" in facts
    assert "frames a second and core" in facts


def test_main_says_the_worst_first(folder):
    config = get_config()
    config.dataset = "video_folder"
    config.data.annotations = str(annotations(folder, 1, "rnu"))
    lines = checkup.first_lines(typed(config))
    assert lines[0].startswith("doctor: 1 of 2 test classes have no training instance")
    assert "3 more" not in lines[-1] and len(lines) == 4
    config.data.annotations = str(annotations(folder, 1, "r" * 9_000))
    assert max(map(len, checkup.first_lines(typed(config)))) <= 300
    config.data.annotations = str(folder / "none.json")
    assert checkup.first_lines(typed(config)) == []


def test_a_batch_of_more_than_the_data_is_told_before_any_work():
    config = get_config()
    config.rows = "acp_plus,lofi"
    for recipe in (config.pretrain, config.joint, config.head_training, config.classifier):
        recipe.batch_size = 64
    findings = checkup.of_annotations(typed(config)).findings
    told = [finding.what for finding in findings if "is more than the" in finding.what]
    assert [what.partition(":")[0] for what in told] == [
        *("pretrain", "joint", "head_training", "classifier")
    ]
    assert told[0].startswith("pretrain: a batch of 64 is more than the 48 training examples")
    assert (
        checkup.first_lines(typed(config))[0]
        == f"doctor: {told[0]}; set config.pretrain.batch_size=12"
    )


def test_a_checkpoint_that_holds_nothing_learned_stops_the_run(tmp_path):
    config = get_config()
    fresh = networks.initial_encoder(typed(config), jax.random.key(config.seed))
    save_state(tmp_path / "fresh", {"encoder": fresh["params"]}, fresh["batch_stats"])
    config.initial_checkpoint = str(tmp_path / "fresh")
    (first, *_) = checkup.whole(typed(config), Workdir(tmp_path / "workdir")).findings
    assert first.severity == Severity.STOP
    assert "layers are as they were made or constant: params." in first.what
    # Another encoder does not fit at all.
    config.encoder.widths = (8, 24)
    (first, *_) = checkup.whole(typed(config), Workdir(tmp_path / "workdir")).findings
    assert first.severity == Severity.STOP and "holds an encoder other than" in first.what


def test_windows_of_unknown_durations_are_no_few_steps(folder):
    config = get_config()
    config.dataset = "video_folder"
    config.data.annotations = str(annotations(folder, 1, "run"))
    config.data.window, config.data.snippets_per_second = 16, 8.0
    checked = checkup.of_annotations(typed(config))
    few = [finding.what for finding in checked.findings if "steps" in finding.what]
    assert [what.partition(":")[0] for what in few] == ["pretrain"]  # which takes clips
    assert checked.facts[0].endswith("1 classes; of unknown durations")


def test_missing_files_stop_and_a_missing_folder_is_one_line(folder, tmp_path):
    config = get_config()
    config.dataset = "video_folder"
    config.data.annotations = str(annotations(folder, 1, "run"))
    config.data.video_dir = str(tmp_path)
    checked = checkup.whole(typed(config), Workdir(tmp_path / "workdir"))
    assert checked.findings[0].what.startswith("6 of 6 videos of 'training' have no file: v0")
    path = tmp_path / "broken.json"
    path.write_text(json.dumps({"database": {}}))
    assert refused(run(*arguments(folder, path)), "the database holds no videos")
