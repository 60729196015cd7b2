"""The compare command as a user calls it."""

import json

import numpy as np
import pytest
from commands import misused, refused, run
from test_evaluate import entry, video, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Annotations of 40 videos, a file that finds the first class, and one that finds more."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    database, weak, strong = {}, {}, {}
    for i in range(40):
        end = 10 + 40 * rng.random()
        database[f"v{i}"] = video((5, end, "run"), (60, 90, "jump"))
        weak[f"v{i}"] = [entry(5, end, "run", 0.9), entry(60, 90 if i % 4 else 65, "jump", 0.8)]
        strong[f"v{i}"] = [
            entry(5, end if i % 8 else 6, "run", 0.9),
            entry(60, 90, "jump", 0.8),
        ]
    (folder / "truth.json").write_text(json.dumps({"database": database}))
    write(folder / "weak.json", weak)
    write(folder / "strong.json", strong)
    return folder


def compare(folder, files, *more):
    paths = ",".join(f"{folder}/{name}.json" for name in files)
    flags = [f"--ground_truth={folder}/truth.json", f"--predictions={paths}", "--subset=val"]
    return run("compare", *flags, *more)


def test_the_difference_and_where_it_comes_from(folder):
    output = folder / "compared.json"
    ended = compare(folder, ("weak", "strong"), "--resamples=200", f"--output={output}")
    assert (ended.returncode, ended.stderr) == (0, "")
    result = json.loads(output.read_text())
    # Ten of 40 jumps are wrong in the one, five of 40 runs in the other; they stand among the hits.
    one, other = result["average_mAP"]
    assert result["difference"] == pytest.approx(other - one)
    classes = {entry["label"]: entry for entry in result["classes"]}
    assert classes["jump"]["difference"] > 0 > classes["run"]["difference"]
    share = sum(entry["difference"] for entry in result["classes"]) / 2
    assert share == pytest.approx(result["difference"])
    low, high = result["interval"]
    assert low < result["difference"] < high
    assert 0.5 < result["other_is_better"] <= 1
    for key in ("average_mAP", "difference"):
        assert f"{100 * np.ravel(result[key])[0]:.2f}" in ended.stdout
    assert f"between {100 * low:+.2f} and {100 * high:+.2f}" in ended.stdout
    assert sum(row["instances"] for row in result["lengths"]) == 80


def test_the_draws_are_seeded(folder):
    files, few = ("weak", "strong"), "--resamples=50"
    first, again, other = (compare(folder, files, few, f"--seed={s}").stdout for s in (1, 1, 2))
    assert first == again != other


def test_a_file_beside_itself_differs_by_nothing(folder):
    ended = compare(folder, ("weak", "weak"), "--resamples=10")
    assert "difference +0.00, between +0.00 and +0.00" in ended.stdout
    assert ended.stdout.rstrip().endswith("not one class has gained or lost")


def test_what_is_found_in_other_videos_is_false_unless_ignored(folder):
    found = json.loads((folder / "strong.json").read_text())["results"]
    write(folder / "more.json", found | {"other": [entry(0, 9, "run", 1.0) for _ in range(9)]})
    difference = {}
    for flag in ("--noignore_other_videos", "--ignore_other_videos"):
        output = folder / f"compared{flag}.json"
        ended = compare(folder, ("strong", "more"), "--resamples=20", f"--output={output}", flag)
        assert ended.returncode == 0, ended.stderr
        assert "1 predicted videos are not in the subset: other: " in ended.stderr
        difference[flag] = json.loads(output.read_text())
    counted = difference["--noignore_other_videos"]
    assert counted["difference"] < 0 and counted["interval"][1] < 0
    ignored = difference["--ignore_other_videos"]
    assert ignored["difference"] == 0 and ignored["interval"] == [0, 0]


def test_what_cannot_be_is_one_line(folder):
    assert misused(compare(folder, ("weak",)), "name two files, separated by a comma")
    assert refused(compare(folder, ("weak", "none")), "none.json: cannot be read")
    write(folder / "foreign.json", {"x": []})
    ended = compare(folder, ("weak", "foreign"))
    assert refused(ended, "foreign.json: no video in common with subset 'val'")


def test_resamples_without_a_segment_are_said(folder, tmp_path):
    """One video of 51 has a segment; the only sample drawn lacks it."""
    empty = {f"n{i}": video() for i in range(50)}
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"database": empty | {"a": video((1, 2, "run"))}}))
    write(tmp_path / "found.json", {"a": [entry(1, 2, "run", 0.9)]})
    ended = compare(tmp_path, ("found", "found"), "--resamples=1", "--seed=2")
    assert ended.returncode == 1
    assert f"\nerror: {truth}: none of the 1 resamples holds a segment to find" in ended.stderr
    ended = compare(tmp_path, ("found", "found"), f"--resamples={10**18}")
    assert misused(ended, f"flag --resamples={10**18}")
