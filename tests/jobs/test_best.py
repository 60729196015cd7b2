"""Which row predict and detections.json take."""

import json
import shutil

import pytest
from commands import main, refused, run

import lofi_jax
from lofi_jax.config.rows import Row
from lofi_jax.errors import UserError
from lofi_jax.jobs import best
from lofi_jax.run.workdir import Workdir

ROWS = [Row("acp", "none", "gtad"), Row("lofi", "temporal", "gtad"), Row("lofi", "temporal", "bmn")]


def results(*scores: float | None) -> dict:
    rows = [{"start": row.start, "fidelity": row.fidelity, "head": row.head} for row in ROWS]
    for row, score in zip(rows, scores, strict=True):
        row |= {} if score is None else {"average_mAP": score}
    return {"rows": rows}


@pytest.mark.parametrize(
    ("measured", "row", "why"),
    [
        ((0.25, 0.5, 0.375), 1, "the best of 3 rows: average mAP 50.00"),
        ((0.5, 0.25, 0.5), 2, "the best of 3 rows: average mAP 50.00"),
        ((0.5, 0.25, None), 0, "the best of 2 rows: average mAP 50.00"),
        ((0.0, None, None), 0, "average mAP 0.00"),
        ((None, None, None), 2, "the last row, since none was evaluated"),
    ],
)
def test_the_best_evaluated_row_is_taken(measured, row, why):
    assert best.of_results(ROWS, results(*measured)) == (ROWS[row], why)
    assert best.of_results(ROWS[:1], results(*measured)).row == ROWS[0]


def test_a_run_without_an_evaluation_has_its_last_row(tmp_path):
    assert best.of_workdir(ROWS, Workdir(tmp_path)).row == ROWS[2]


@pytest.mark.parametrize(
    "results",
    [
        [],
        "x",
        {"rows": 3},
        {"rows": [1]},
        {"rows": None},
        {"rows": [{"average_mAP": 0.5}]},
        {"rows": [{"start": "acp", "fidelity": "none", "head": "gtad", "average_mAP": "0.5"}]},
    ],
    ids=str,
)
def test_results_of_another_form_are_as_none(results, tmp_path, capsys):
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert best.of_workdir(ROWS, Workdir(tmp_path)).row == ROWS[2]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path}/results.json: not the results of a run, ")


def test_a_row_is_taken_by_name():
    assert best.named(ROWS, "lofi_temporal_bmn") == (ROWS[2], "as named")
    with pytest.raises(UserError, match="no trained row 'icp': there are acp_gtad, lofi_temporal"):
        best.named(ROWS, "icp")
    with pytest.raises(UserError, match="'lofi_temporal_bnm': did you mean lofi_temporal_bmn?"):
        best.named(ROWS, "lofi_temporal_bnm")


@pytest.fixture(scope="module")
def first_is_best(finished_run):
    """A run whose first row has scored best, as its results tell."""
    workdir = shutil.copytree(finished_run[0], finished_run[0].with_name("first_is_best"))
    path = workdir / "results.json"
    told = json.loads(path.read_text())
    told["rows"][0]["average_mAP"] = 0.99
    path.write_text(json.dumps(told))
    return workdir


def test_predict_says_which_row_it_takes_and_takes_another_by_name(first_is_best, tmp_path):
    video = next((first_is_best / "data/world/target/videos").glob("*testing*"))
    usual = [f"--workdir={first_is_best}", f"--videos={video}", f"--output={tmp_path / 'f.json'}"]
    ended = run("predict", *usual)
    assert ended.returncode == 0, ended.stderr
    assert "\nrow acp_gtad: the best of 2 rows: average mAP 99.00\n" in ended.stdout
    assert refused(run("predict", *usual, "--row=lofi"), "there are acp_gtad, lofi_temporal_gtad")


def test_a_localizer_takes_the_best_row_or_the_named_one(first_is_best):
    load = lofi_jax.Localizer.load
    assert load(first_is_best).row.name == "acp_gtad"
    assert load(first_is_best, "lofi_temporal_gtad").row.name == "lofi_temporal_gtad"


def test_detections_json_is_the_best_rows(first_is_best):
    told = first_is_best / "detections"
    (told / "acp_gtad.json").write_text((told / "lofi_temporal_gtad.json").read_text())
    # Nothing of the detections is made again, so both rows measure the same: the last is taken.
    ended = run(*main(first_is_best, "--config.stages=evaluate"))
    assert ended.returncode == 0, ended.stderr
    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("detections.json: "))
    assert line.startswith("detections.json: lofi_temporal_gtad, the best of 2 rows: average mAP ")
    assert json.loads((first_is_best / "results.json").read_text())["detections"] == (
        "lofi_temporal_gtad"
    )
