"""The validate command, and that what the other commands write passes it."""

import json

import pytest
from commands import misused, refused, run, start
from test_evaluate import entry, video, write

from lofi_jax.errors import LONGEST
from lofi_jax.results import submissions

GOOD = {"a": [entry(0, 10, "run", 0.9)], "b": []}


def validate(path, *more):
    return run("validate", f"--predictions={path}", *more)


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.json"
    database = {
        "a": video((0, 10, "run")),
        "b": video((0, 10, "jump")),
        "t": video((0, 10, "swim"), subset="train"),
    }
    path.write_text(json.dumps({"database": database}))
    return path


def test_a_valid_file(tmp_path, truth):
    path = write(tmp_path / "found.json", GOOD)
    for more in ((), (f"--ground_truth={truth}", "--subset=val")):
        ended = validate(path, *more)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == f"{path}: valid\n"


WRONG = {
    "score": (entry(0, 1, "run", float("nan")), "'score' is nan, not a number of 0 or above"),
    "below": (entry(0, 1, "run", -0.5), "'score' is -0.5, not a number of 0 or above"),
    "text": (entry(0, 1, "run", "0.5"), "'score' is '0.5', not a number of 0 or above"),
    "back": (entry(2, 1, "run", 0.5), "'segment' is [2, 1], whose end is not after its start"),
    "empty": (entry(1, 1, "run", 0.5), "'segment' is [1, 1], whose end is not after its start"),
    "early": (entry(-1, 1, "run", 0.5), "'segment' is [-1, 1], which starts before 0"),
    "words": (entry("0", "1", "run", 0.5), "'segment' is ['0', '1'], not [start, end] in seconds"),
    "short": ({"label": "run", "score": 1}, "'segment' is None, not [start, end] in seconds"),
    "name": (entry(0, 1, "", 0.5), "'label' is '', not a class name"),
    "none": ({"score": 1, "segment": [0, 1]}, "'label' is None, not a class name"),
}


def test_everything_that_is_wrong_is_said(tmp_path):
    results = {key: [entry(0, 1, "run", 1), wrong] for key, (wrong, _) in WRONG.items()}
    results |= {"list": {"label": "run"}, "object": ["run"], "fine": GOOD["a"]}
    path = write(tmp_path / "found.json", results)
    ended = validate(path)
    expected = [f"{path}: video {key!r}, entry 1: {says}" for key, (_, says) in WRONG.items()]
    expected += [
        f"{path}: video 'list' is not a list of predictions",
        f"{path}: video 'object', entry 0 is not an object with 'label', 'score' and 'segment'",
        f"{path}: 12 findings",
    ]
    assert ended.stdout.splitlines() == expected
    assert (ended.returncode, ended.stderr) == (1, "")


def test_what_does_not_fit_the_annotations_is_said(tmp_path, truth):
    found = {"a": [entry(0, 100.5, "run", 1), entry(0, 1, "fly", 1)], "t": [], "new": []}
    path = write(tmp_path / "found.json", found)
    ended = validate(path, f"--ground_truth={truth}", "--subset=val")
    assert ended.returncode == 1
    assert ended.stdout.splitlines() == [
        f"{path}: video 'a', entry 0: 'segment' is [0, 100.5], which ends after the video, at 100",
        f"{path}: video 'a', entry 1: 'label' is 'fly', which is no class of {truth}",
        f"{path}: video 't' is of subset 'train', not of 'val'",
        f"{path}: video 'new' is unknown, not of 'val'",
        f"{path}: video 'b' of subset 'val' is missing",
        f"{path}: 5 findings",
    ]


def test_one_finding_is_one_and_a_reader_may_leave(tmp_path):
    path = write(tmp_path / "found.json", {"a": [entry(2, 1, "run", 1)]})
    assert validate(path).stdout.endswith(": 1 finding\n")
    many = write(tmp_path / "many.json", {"a": [entry(2, 1, "run", 1)] * 20_000})
    with start("validate", f"--predictions={many}") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["the file is empty"]),
        ("no JSON", ["not JSON (Expecting value: line 1 column 1 (char 0))"]),
        ("[]", ["not an object with the keys version, results, external_data"]),
        (
            '{"results": {"a": []}}',
            ["the key 'version' is missing", "the key 'external_data' is missing"],
        ),
        ('{"version": "", "external_data": {}}', ["the key 'results' is missing"]),
        (
            '{"version": "", "external_data": {}, "results": []}',
            ["'results' is not an object of videos"],
        ),
        ('{"version": "", "external_data": {}, "results": {}}', ["the results hold no videos"]),
        (
            '{"version": "", "external_data": {}, "results": {"a": [], "a": []}}',
            ["the key 'a' stands twice in one object"],
        ),
    ],
)
def test_files_of_another_form(tmp_path, text, says):
    path = tmp_path / "found.json"
    path.write_text(text)
    assert list(submissions.findings(path)) == [f"{path}: {line}" for line in says]


def test_what_cannot_be_is_one_line(tmp_path, truth):
    path = write(tmp_path / "found.json", GOOD)
    assert misused(validate(path, f"--ground_truth={truth}"), "give both or neither")
    ended = validate(path, f"--ground_truth={truth}", "--subset=test")
    assert refused(ended, "no video is of subset 'test', only of 'train', 'val'")
    ended = validate(tmp_path / "none.json")
    assert ended.returncode == 1 and "none.json: cannot be read (No such file" in ended.stdout


def test_what_a_run_writes_is_valid(finished_run):
    workdir, _ = finished_run
    annotated = workdir / "data" / "world" / "target" / "annotations.json"
    ended = validate(workdir / "detections.json", f"--ground_truth={annotated}", "--subset=testing")
    assert ended.returncode == 0, ended.stdout


def test_a_finding_is_a_line_of_bounded_length(tmp_path):
    path = write(tmp_path / "found.json", {"a": [entry(0, 10**400, "run", 1)]})
    (found,) = submissions.findings(path)
    assert len(found) == LONGEST and ": video 'a', entry 0: 'segment' is [0, 1000" in found
