"""One video under two names, with a leading "v_" and without, wherever names meet."""

import json

import numpy as np
import pytest
from commands import run
from small_videos import write_video
from test_evaluate import entry, video, write

from lofi_jax.data import video_ids
from lofi_jax.data.annotations import activitynet
from lofi_jax.data.features import external
from lofi_jax.data.ingest import video_folder
from lofi_jax.results import class_scores, ground_truth, submissions


@pytest.fixture(params=[("a", "v_a"), ("v_a", "a")], ids="/".join)
def names(request):
    """The name that annotations have of a video, and another."""
    return request.param


@pytest.fixture
def truth(names, tmp_path):
    path = tmp_path / "truth.json"
    database = {names[0]: video((0, 10, "run")), "b": video((0, 10, "jump"))}
    path.write_text(json.dumps({"database": database}))
    return path


@pytest.fixture
def found(names, tmp_path):
    results = {names[1]: [entry(0, 10, "run", 0.9)], "b": [entry(0, 10, "jump", 0.8)]}
    return write(tmp_path / "found.json", results)


def test_a_name_that_is_no_text_gives_an_id_that_is():
    assert video_ids.of_file("clips/v_a\udcff.mp4") == "a\ufffd"


def test_files_belong_to_their_annotation(names, truth, tmp_path):
    files = {names[1]: tmp_path / "x.mp4"}
    files[names[1]].touch()
    (job,) = video_folder.match(activitynet.load(truth), files)["val"]
    assert job.video.video_id == names[0] and job.path == tmp_path / "x.mp4"


def test_a_file_of_the_very_name_goes_first(tmp_path):
    write_video(tmp_path / "a.mp4", 2)
    write_video(tmp_path / "v_a.mp4", 2)
    files = video_folder.find_videos(tmp_path)
    found = {name: files[str(video_ids.find(name, files))].name for name in ("a", "v_a")}
    assert found == {"a": "a.mp4", "v_a": "v_a.mp4"}


def test_predictions_are_measured_and_judged_by_their_annotation(names, truth, found):
    annotated, (both,) = ground_truth.load(str(truth), "val", [str(found)], False)
    assert both.video_ids == (names[0], "b")
    assert list(submissions.findings(found, annotated)) == []


@pytest.mark.parametrize("command", ["evaluate", "compare", "diagnose", "validate", "fuse"])
def test_every_command_takes_both_names(command, tmp_path):
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    truth.write_text(json.dumps({"database": {"a": video((0, 10, "run"))}}))
    write(found, {"v_a": [entry(0, 10, "run", 0.9)]})
    write(tmp_path / "own.json", {"a": [entry(0, 10, "run", 0.5)]})
    given = [f"--ground_truth={truth}", "--subset=val", f"--predictions={found}"]
    if command == "compare":
        given[2] += f",{found}"
    if command == "diagnose":
        given.append(f"--output_dir={tmp_path / 'why'}")
    if command == "fuse":
        given = [
            f"--predictions={tmp_path / 'own.json'},{found}",
            f"--output={tmp_path / 'f.json'}",
        ]
    ended = run(command, *given)
    assert (ended.returncode, ended.stderr) == (0, "")
    if command == "fuse":
        assert list(json.loads((tmp_path / "f.json").read_text())["results"]) == ["a"]


def test_features_and_scores_of_either_name(names, tmp_path):
    np.save(tmp_path / f"{names[1]}.npy", np.ones((4, 2)))
    assert external.read([str(tmp_path)], names[0], 4).shape == (4, 2)
    scores, missing = class_scores.select("file", ["run"], {names[1]: [0.5]}, [names[0]], ("run",))
    assert scores.tolist() == [[0.5]] and missing == []
