"""Label Studio's and CVAT's files, in the forms that their documentation gives, and detections that
go there and come back.
"""

import json

import numpy as np
import pytest
from small_videos import write_video

from lofi_jax.data.annotations import cvat, formats, label_studio
from lofi_jax.data.ingest.video_folder import find_videos
from lofi_jax.data.video import video_file
from lofi_jax.errors import UserError
from lofi_jax.jobs.exports import export_labels
from lofi_jax.results import by_ending
from lofi_jax.results.detections import Detections


def span(start, end, label):
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}
    return {"type": "timelinelabels", "from_name": "timelineLabels", "value": value}


def write(path, value):
    path.write_text(json.dumps(value))
    return path


def test_label_studios_ranges_count_frames_from_one_with_both_ends(tmp_path):
    task = {
        "id": 7,
        "data": {"video": "/data/upload/1/v_a.mp4", "fps": 25, "subset": "val"},
        "annotations": [
            {"result": [span(1, 25, "old")]},
            {"result": [span(1, 25, "jump"), span(26, 26, "run"), {"type": "choices"}]},
            {"was_cancelled": True, "result": [span(1, 2, "no")]},
        ],
        "predictions": [{"result": [span(1, 2, "no")]}],
    }
    plain = {"id": 8, "data": {"clip": "s3://bucket/b.mp4?x=1"}, "annotations": []}
    found = formats.load(write(tmp_path / "export.json", [task, plain]))
    a, b = found.videos.values()
    assert (a.video_id, a.subset, a.labels) == ("a", "val", ("jump", "run"))
    assert a.segments.tolist() == [[0.0, 1.0], [1.0, 1.04]]
    assert (b.video_id, b.subset, b.labels) == ("b", "training", ())


def test_label_studios_small_form_and_its_own_frame_rate(tmp_path):
    values = [span(13, 24, "jump")["value"], span(25, 48, "run")["value"]]
    task = {"id": 1, "video": "/data/local-files/?d=clips/c.mp4", "videoLabels": values}
    found = formats.load(write(tmp_path / "min.json", [task]))
    assert found.videos["c"].segments.tolist() == [[0.5, 1.0], [1.0, 2.0]]


def of_regions(*regions):
    return {"data": {"video": "a.mp4"}, "annotations": [{"result": list(regions)}]}


def region(**changes):
    """A region whose value is changed."""
    return span(1, 5, "run") | {"value": span(1, 5, "run")["value"] | changes}


WRONG_TASKS = {
    "task 0: 'data' is .1., not an object": {"data": [1]},
    "task 0: 'annotations' is 3, not a list": {"data": {"video": "a.mp4"}, "annotations": 3},
    "task 0: 'annotations' is .3., not a list": {"data": {"video": "a.mp4"}, "annotations": [3]},
    "task 0: 'result' is None": {"data": {"video": "a.mp4"}, "annotations": [{"result": None}]},
    "task 0: 'result' is .3., not": of_regions(3),
    "task 0: 'value' is .None., not": of_regions({"type": "timelinelabels"}),
    "task 0: 'ranges' is None, not": of_regions(region(ranges=None)),
    "task 0: 'ranges' is .3., not": of_regions(region(ranges=[3])),
    "task 0: 'timelinelabels' is 'run', not": of_regions(region(timelinelabels="run")),
    "task 0: 'label' is 3, not": of_regions(region(timelinelabels=[3])),
    "task 0: 'label' is '', not": of_regions(region(timelinelabels=[""])),
    "entry 0: 'segment' is .0.0, inf.": of_regions(span(1, 5, "run"))
    | {"data": {"video": "a.mp4", "fps": 1e-320}},
    "task 4: names no video file": {"id": 4, "data": {"video": "http://[x/a.mp4"}},
    "task 0: 'subset' is .1., not a name": {"data": {"video": "a.mp4", "subset": [1]}},
    "task 2: 'ranges' is None": {"id": 2, "video": "a.mp4", "tl": [{"timelinelabels": ["r"]}]},
    "task 3: names no video file": {"id": 3, "data": {"text": "hello"}},
    "task 0: 'fps' is 0": {"data": {"video": "a.mp4", "fps": 0}},
    "is not frames from 1": {
        "data": {"video": "a.mp4"},
        "annotations": [{"result": [span(0, 5, "run")]}],
    },
}


@pytest.mark.parametrize("says", WRONG_TASKS)
def test_a_wrong_task_is_named(says, tmp_path):
    with pytest.raises(UserError, match=says):
        formats.load(write(tmp_path / "export.json", [WRONG_TASKS[says]]))


VIDEO_XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task><id>1</id><name>first</name><size>30</size><mode>interpolation</mode>
      <subset>val</subset></task>
    <source>v_a.mp4</source>
  </meta>
  <track id="0" label="jump" source="manual">
    <box frame="5" outside="0" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="2" ybr="2"/>
    <box frame="6" outside="0" occluded="0" keyframe="0" xtl="1" ytl="1" xbr="2" ybr="2"/>
    <box frame="10" outside="1" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="2" ybr="2"/>
    <box frame="20" outside="0" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="2" ybr="2"/>
    <box frame="29" outside="0" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="2" ybr="2"/>
  </track>
  <track id="1" label="run" source="manual">
    <points frame="0" outside="0" occluded="0" keyframe="1" points="1,1"/>
    <points frame="1" outside="1" occluded="0" keyframe="1" points="1,1"/>
  </track>
</annotations>
"""
IMAGES_XML = """<annotations>
  <version>1.1</version>
  <meta><task><name>b.mp4</name></task></meta>
  {}
</annotations>
"""


def test_cvats_tracks_and_tags_become_actions(tmp_path):
    image = '<image id="{0}" name="frame_{0:06}"><tag label="wave" source="manual"/></image>'
    (tmp_path / "a.xml").write_text(VIDEO_XML)
    rows = "".join(map(image.format, (0, 1, 2, 7)))
    (tmp_path / "b.xml").write_text(IMAGES_XML.format(rows))
    found = cvat.load(tmp_path, {"a": 10.0, "b": 4.0}.__getitem__)
    a, b = found.videos["a"], found.videos["b"]
    assert (a.subset, a.labels) == ("val", ("jump", "jump", "run"))
    assert a.segments.tolist() == [[0.5, 1.0], [2.0, 3.0], [0.0, 0.1]]
    assert (b.subset, b.labels) == ("training", ("wave", "wave"))
    assert b.segments.tolist() == [[0.0, 0.75], [1.75, 2.0]]


def test_cvats_frames_need_the_video(tmp_path):
    (tmp_path / "a.xml").write_text(VIDEO_XML)
    with pytest.raises(UserError, match="a.xml: CVAT's times are frames, and no file of the video"):
        formats.load(tmp_path / "a.xml")
    (tmp_path / "a.xml").write_text("<annotations")
    with pytest.raises(UserError, match="a.xml: not XML"):
        formats.load(tmp_path / "a.xml")
    (tmp_path / "a.xml").write_text("<html/>")
    with pytest.raises(UserError, match="a.xml: not CVAT's annotations of a task"):
        formats.load(tmp_path / "a.xml")


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        (f'<track label="r"><box frame="{"9" * 400}"/></track>', "a track or a tag is not as CVAT"),
        (f'<image id="{"9" * 400}"><tag label="r"/></image>', "a track or a tag is not as CVAT"),
        (f'<track label="r"><box frame="{10**18}"/></track>', "entry 0: 'segment' is .1e.17, 1e.1"),
        ('<track label=""><box frame="1"/></track>', "video 'b', entry 0: 'label' is ''"),
    ],
)
def test_cvats_frames_and_labels_are_checked(inside, says, tmp_path):
    path = tmp_path / "b.xml"
    path.write_text(IMAGES_XML.format(inside))
    with pytest.raises(UserError, match=f"b.xml: .*{says}"):
        cvat.load(path, {"b": 10.0}.__getitem__)


@pytest.fixture(scope="module")
def detected(tmp_path_factory):
    """A folder of two videos, and a file of detections in them whose times are frames."""
    folder = tmp_path_factory.mktemp("detected")
    (folder / "videos").mkdir()
    rng = np.random.default_rng(0)
    found = {}
    for name in ("a", "b"):
        path = folder / "videos" / f"v_{name}.mp4"
        write_video(path, 50)
        info = video_file.probe(path)
        frames = np.sort(rng.choice(51, (12, 2)), axis=1)
        frames[:, 1] = np.maximum(frames[:, 1], np.minimum(frames[:, 0] + 1, 50))
        frames[:, 0] = np.minimum(frames[:, 0], frames[:, 1] - 1)
        labels = rng.choice(["long jump", "a & b <c>"], 12)
        found[name] = Detections(frames / info.fps, labels, rng.random(12) + 0.2, name)
    by_ending.save(folder / "found.json", found)
    return folder, found


@pytest.mark.parametrize("layout", export_labels.NAMES)
def test_detections_go_there_and_come_back_to_the_frame(layout, detected, tmp_path):
    folder, found = detected
    videos = folder / "videos"
    export_labels.run(folder / "found.json", videos, layout, tmp_path, 0.1)
    there = tmp_path
    if layout == "label_studio":
        tasks = json.loads((tmp_path / "tasks.json").read_text())
        regions = [region for task in tasks for region in task["predictions"][0]["result"]]
        assert [r["score"] for r in regions] == [d.score for one in found.values() for d in one]
        # Accepted by a person, and exported.
        there = write(
            tmp_path / "export.json", [t | {"annotations": t["predictions"]} for t in tasks]
        )
        text = (tmp_path / "config.xml").read_text()
        assert 'frameRate="$fps"' in text and 'value="a &amp; b &lt;c&gt;"' in text
    back = formats.load(there, find_videos(videos), repair=False)
    assert list(back.videos) == ["a", "b"]
    for name, one in found.items():
        assert back.videos[name].labels == one.labels
        np.testing.assert_allclose(back.videos[name].segments, one.segments, rtol=0, atol=1e-12)


def test_faint_detections_are_left_out_and_a_missing_video_is_named(detected, tmp_path):
    folder, found = detected
    said = export_labels.run(folder / "found.json", folder / "videos", "cvat", tmp_path, 2.0)
    count, why = said.splitlines()
    assert count == f"0 detections in 2 videos (a, b) -> {tmp_path}"
    best = max(detection.score for one in found.values() for detection in one)
    assert why.endswith(f"the best score is {best:.3g}, under --min_score=2: name a lower one")
    by_ending.save(tmp_path / "none.json", {"a": Detections([], [], [], "a")})
    said = export_labels.run(tmp_path / "none.json", folder / "videos", "cvat", tmp_path, 0.1)
    assert said.endswith("none.json: holds no detections")
    with pytest.raises(UserError, match="holds no file of the video 'a' of "):
        export_labels.run(folder / "found.json", tmp_path, "cvat", tmp_path, 0.0)


@pytest.mark.parametrize("layout", export_labels.NAMES)
def test_a_label_that_xml_cannot_hold_is_named(layout, detected, tmp_path):
    folder, _ = detected
    by_ending.save(tmp_path / "odd.json", Detections([[0, 1]], ["ru\x01n"], [0.5], "a"))
    with pytest.raises(
        UserError, match="odd.json: the label 'ru.x01n' holds '.x01', which this layout"
    ):
        export_labels.run(tmp_path / "odd.json", folder / "videos", layout, tmp_path / "out", 0.0)
    assert not (tmp_path / "out").exists()


def test_cvats_file_of_a_long_id_gets_a_name_that_is_possible(tmp_path):
    name = "n" * 251
    write_video(tmp_path / f"{name}.mp4", 5)
    by_ending.save(tmp_path / "found.json", Detections([[0, 0.1]], ["run"], [0.5], name))
    export_labels.run(tmp_path / "found.json", tmp_path, "cvat", tmp_path / "out", 0.0)
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".xml"]


def test_segments_are_at_least_a_frame():
    assert label_studio.frames([1.0, 1.001], 25.0) == (25, 26)
