"""The predict command on real files, with what the tiny run trained."""

import json
import pathlib
import shutil

import cv2
import pytest
from commands import misused, refused, run, run_each

from lofi_jax.data.video import video_file
from lofi_jax.results import predictions, submissions

REAL = (
    "arm_wrestling.mp4",
    "bikes.mp4",
    "corrupted.mp4",
    "flipping_a_pancake.mkv",
    "rotated_90.mov",
    "test_340x256.mp4",
    "test_mpeg4.avi",
)


def arguments(workdir, videos, output, **more) -> list[str]:
    given = {"workdir": workdir, "videos": ",".join(map(str, videos)), "output": output} | more
    return ["predict", *(f"--{name}={value}" for name, value in given.items())]


@pytest.fixture(scope="module")
def real_files(finished_run, shared_data, tmp_path_factory):
    """How predict ends on all real files and two that are no videos, and the folder of what it
    writes.
    """
    folder = tmp_path_factory.mktemp("predict")
    (folder / "text.mp4").write_text("not a video\n")
    (folder / "hollow.mp4").touch()
    pattern = shared_data / "videos" / "*.*"
    videos = [pattern, folder / "text.mp4", folder]
    output, images, page = folder / "out" / "found.json", folder / "timelines", folder / "page"
    more = {"timeline_dir": images, "view": page}
    return run(*arguments(finished_run[0], videos, output, **more)), folder


def test_every_real_file_gets_detections_inside_it(real_files, shared_data):
    ended, folder = real_files
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    assert list(submissions.findings(folder / "out" / "found.json")) == []
    found = predictions.load(folder / "out" / "found.json")
    assert found.video_ids == tuple(pathlib.Path(name).stem for name in REAL)
    for i, name in enumerate(REAL):
        segments = found.segment[found.video == i]
        assert len(segments) > 0
        assert segments.min() >= 0
        assert segments.max() <= video_file.probe(shared_data / "videos" / name).duration + 1e-6
        assert (segments[:, 0] < segments[:, 1]).all()
    assert 0 < found.score.max() <= 1
    written = json.loads((folder / "out" / "found.json").read_text())["results"]
    for entries in written.values():
        scores = [entry["score"] for entry in entries]
        assert scores == sorted(scores, reverse=True)


def test_what_is_broken_is_used_in_part_or_skipped_and_said(real_files, shared_data):
    ended, folder = real_files
    lines = ended.stdout.splitlines()
    broken = shared_data / "videos" / "corrupted.mp4"
    (part,) = (line for line in lines if line.startswith("used in part: "))
    assert part.startswith(f"used in part: {broken}: decodes up to ")
    skipped = [line for line in lines if line.startswith("skipped ")]
    assert len(skipped) == 2
    for line, name in zip(skipped, ("text.mp4", "hollow.mp4"), strict=True):
        assert line.startswith(f"skipped {folder / name}: ")
    assert lines[-1] == f"7 of 9 videos -> {folder / 'out' / 'found.json'}"


def test_the_page_holds_every_video_beside_its_detections(real_files):
    ended, folder = real_files
    text = (folder / "page" / "index.html").read_text()
    data = json.loads(text.split('id="viewer-data">')[1].split("</script>")[0])
    written = json.loads((folder / "out" / "found.json").read_text())["results"]
    assert [video["id"] for video in data["videos"]] == list(written)
    for video in data["videos"]:
        assert (folder / "page" / video["file"]).exists()
        assert len(video["found"][0]) == len(written[video["id"]]) and video["truth"] is None
    assert "7 hard-linked" in ended.stdout or "7 linked by name" in ended.stdout


def test_every_video_gets_a_timeline(real_files):
    _, folder = real_files
    drawn = sorted((folder / "timelines").iterdir())
    assert [path.name for path in drawn] == [f"{pathlib.Path(name).stem}.png" for name in REAL]
    for path in drawn:
        image = cv2.imread(str(path))
        assert image.shape[1] == 1600 and image.shape[0] > 200
        assert image.std() > 10


def test_files_of_one_name_all_get_detections(finished_run, shared_data, tmp_path):
    real = (shared_data / "videos" / "rotated_90.mov").read_bytes()
    for name in ("a/clip.mov", "b/clip.mov", "c/clip.mov"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(real)
    pattern, output = tmp_path / "*" / "*.mov", tmp_path / "found.json"
    ended = run(*arguments(finished_run[0], [pattern], output))
    assert ended.returncode == 0, ended.stderr
    results = json.loads(output.read_text())["results"]
    assert list(results) == ["clip", "clip.mov", "clip_2"]


WRONG = {
    "no such video": (
        {"videos": ["{folder}/none.mp4"]},
        "{folder}/none.mp4: no such video file, folder of videos or pattern",
    ),
    "not one video": ({}, "{folder}/text.mp4: cannot be opened as a video"),
    "no run": (
        {"workdir": "{folder}"},
        "{folder}: holds no run (config.json is missing): train one first",
    ),
    "no trained head": (
        {"workdir": "{folder}/begun"},
        "{folder}/begun: holds no trained head: let the run finish first",
    ),
    "an output that cannot be written": (
        {"output": "{folder}/text.mp4/found.json"},
        "{folder}/text.mp4/found.json: cannot be written",
    ),
    "a lock that is none": (
        {"output": "{folder}/locked.json"},
        "{folder}/.locked.json.lock: cannot be written (it is a folder): move or delete it",
    ),
}


@pytest.fixture(scope="module")
def wrong(finished_run, tmp_path_factory):
    """How predict ends for each entry of `WRONG`, and the folder it is about."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "text.mp4").write_text("not a video\n")
    (folder / "begun").mkdir()
    (folder / ".locked.json.lock").mkdir()
    shutil.copy(finished_run[0] / "config.json", folder / "begun")
    usual = {
        "workdir": str(finished_run[0]),
        "videos": ["{folder}/text.mp4"],
        "output": "{folder}/found.json",
    }
    jobs = {}
    for name, (changes, _) in WRONG.items():
        given = usual | changes
        jobs[name] = [argument.format(folder=folder) for argument in arguments(**given)]
    return run_each(jobs), folder


def test_one_name_for_a_file_and_a_folder_is_refused(finished_run, tmp_path):
    for folder in (tmp_path / "a.json", tmp_path / "a.json" / "images"):
        given = arguments(finished_run[0], [__file__], tmp_path / "a.json")
        ended = run(*given, f"--timeline_dir={folder}")
        assert misused(ended, "a.json: is a folder's name too"), ended.stderr


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_one_line_that_says_so(wrong, what):
    ended, folder = wrong
    assert refused(ended[what], WRONG[what][1].format(folder=folder)), ended[what].stderr
    assert not (folder / "found.json").exists()
