"""The public datasets' own annotation files: THUMOS14's text files, Kinetics' lists, HACS's
JSON.
"""

import json
import pathlib

import numpy as np
import pytest
from small_videos import annotated, save_annotations, write_video

from lofi_jax.data.annotations import activitynet, formats, thumos
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import dataset, records
from lofi_jax.errors import UserError
from lofi_jax.results import ground_truth

SAMPLING = Sampling(snippets=2, frames=1, stride=0, short_side=16)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def thumos_folder(tmp_path):
    folder = tmp_path / "thumos"
    validation = folder / "TH14_Temporal_annotations_validation" / "annotation"
    test = folder / "TH14_Temporal_annotations_test" / "annotations" / "annotation"
    write(
        validation / "Diving_val.txt",
        "video_validation_0000002  3.5 4.0\nvideo_validation_0000001  1.0 2.5\n",
    )
    write(validation / "CliffDiving_val.txt", "video_validation_0000002  3.5 4.0\n\n")
    write(validation / "Ambiguous_val.txt", "video_validation_0000002  0.5 0.9\n")
    write(test / "Diving_test.txt", "video_test_0000004  0.2 1.1\nvideo_test_0000270  900 901\n")
    write(test / "Ambiguous_test.txt", "video_test_0001292  1.0 2.0\n")
    write(test / "detclasslist.txt", "7 Diving\n")
    return folder


def test_thumos_text_files(thumos_folder):
    loaded = formats.load(thumos_folder)
    assert list(loaded.videos) == [
        "video_test_0000004",
        "video_validation_0000001",
        "video_validation_0000002",
    ]
    assert [video.subset for video in loaded.videos.values()] == ["test", *["validation"] * 2]
    assert loaded.classes == ("CliffDiving", "Diving")
    both = loaded.videos["video_validation_0000002"]
    assert both.segments.tolist() == [[3.5, 4.0]] * 2 and both.duration is None
    assert both.labels == ("CliffDiving", "Diving")
    assert loaded.problems == {
        thumos.AMBIGUOUS: ("video_validation_0000002: 0.5 to 0.9",),
        thumos.MISANNOTATED: thumos.LEFT_OUT,
    }


@pytest.mark.parametrize("line", ["video_4 1.0", "video_4 one 2.0", "video_4 nan 2.0"])
def test_a_thumos_line_of_another_form_is_named(thumos_folder, line):
    path = write(thumos_folder / "Shotput_test.txt", f"video_test_0000004 1.0 2.0\n{line}\n")
    with pytest.raises(UserError, match=f"{path.name}, line 2: '{line}' is not a video's name"):
        formats.load(thumos_folder)


def test_a_thumos_file_that_is_no_text_is_named(thumos_folder):
    (thumos_folder / "Shotput_test.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="Shotput_test.txt: not text in UTF-8"):
        formats.load(thumos_folder)


def test_a_folder_without_annotations(tmp_path):
    with pytest.raises(UserError, match="neither <Class>_val.txt nor <Class>_test.txt"):
        formats.load(tmp_path)


def test_the_text_files_say_what_the_usual_json_file_says(shared_data, tmp_path):
    usual = activitynet.load(shared_data / "annotations" / "thumos14.json")
    lines = {}
    for video in usual.videos.values():
        end = "val" if video.subset == "train" else "test"
        for (start, stop), label in zip(video.segments, video.labels, strict=True):
            lines.setdefault(f"{label}_{end}.txt", []).append(f"{video.video_id}  {start} {stop}\n")
    for name, text in lines.items():
        write(tmp_path / name, "".join(text))
    loaded = formats.load(tmp_path)
    assert loaded.classes == usual.classes and len(loaded.classes) == 20
    assert loaded.videos.keys() == usual.videos.keys()
    for video_id, video in loaded.videos.items():
        there = usual.videos[video_id]
        pairs = zip(there.segments.tolist(), there.labels, strict=True)
        assert sorted(pairs) == sorted(zip(video.segments.tolist(), video.labels, strict=True))


@pytest.fixture
def kinetics(tmp_path):
    header = "label,youtube_id,time_start,time_end,split"
    folder = tmp_path / "kinetics"
    write(
        folder / "train.csv",
        f'{header},is_cc\n"playing harp, seated",-a_b,84,94,train,0\nabseiling,c,0,10,train,0\n',
    )
    write(folder / "validate.csv", f"{header}\nabseiling,d,5,15,validate\n")
    write(folder / "test.csv", f"{header.removeprefix('label,')}\ne,7,17,test\n")
    return folder


def test_kinetics_lists(kinetics):
    loaded = formats.load(kinetics)
    assert {name: video.subset for name, video in loaded.videos.items()} == {
        "e_000007_000017": "test",
        "-a_b_000084_000094": "train",
        "c_000000_000010": "train",
        "d_000005_000015": "val",
    }
    clip = loaded.videos["-a_b_000084_000094"]
    assert (clip.labels, clip.segments.tolist()) == (("playing harp, seated",), [[0.0, 10.0]])
    assert loaded.videos["e_000007_000017"].labels == ()
    assert loaded.problems == {activitynet.NO_SEGMENTS: ("e_000007_000017",)}
    # One list alone gives the same labels, for each has all classes.
    assert formats.load(kinetics / "train.csv").classes == loaded.classes
    assert loaded.classes == ("abseiling", "playing harp, seated")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column 'youtube_id'"),
        ("label,youtube_id,time_start,split\n", "no column 'time_end'"),
        ("label,youtube_id,time_start,time_end,split\n", "lists no clips"),
        ("youtube_id,time_start,time_end,split\na,one,2,train\n", "line 2: 'time_start'"),
        ("youtube_id,time_start,time_end,split\na,1\n", "line 2: 'time_start'"),
        ("youtube_id,time_start,time_end,split\na,1,inf,train\n", "line 2: 'time_start'"),
    ],
)
def test_lists_of_another_form(tmp_path, text, says):
    path = write(tmp_path / "train.csv", text)
    with pytest.raises(UserError, match=says):
        formats.load(path)
    with pytest.raises(UserError, match="gone.csv: cannot be read"):
        formats.load(tmp_path / "gone.csv")


def test_a_clip_listed_twice_is_counted(tmp_path):
    rows = "youtube_id,time_start,time_end,split\na,1,2,train\na,1,2,train\n"
    loaded = formats.load(write(tmp_path / "train.csv", rows))
    assert loaded.problems[activitynet.DUPLICATE] == ("a_000001_000002",)


def test_hacs_writes_durations_as_text(tmp_path):
    entry = annotated("training", (5.4, 11.6, "Dodgeball")) | {"duration": "92.166667"}
    loaded = formats.load(save_annotations(tmp_path / "hacs.json", {"--0edUL8zmA": entry}))
    assert loaded.videos["--0edUL8zmA"].duration == 92.166667


def test_a_kinetics_clip_is_found_in_its_class_folder_and_lasts_as_long_as_its_file(
    kinetics, tmp_path
):
    videos = tmp_path / "videos"
    write_video(videos / "train" / "playing harp, seated" / "-a_b_000084_000094.mp4", 98)
    write_video(videos / "val" / "abseiling" / "d_000005_000015.mp4", 60)
    builder, report = dataset.build("kinetics400", videos, kinetics, tmp_path / "data", SAMPLING)
    (clip,) = records.Records(builder, "train")
    assert clip.segments.tolist() == [[0.0, 9.8]] and clip.labels.tolist() == [1]
    assert report.problems == {
        activitynet.NO_SEGMENTS: ("e_000007_000017",),
        "annotated videos missing from the folder": ("e_000007_000017", "c_000000_000010"),
        "videos over 1 s shorter than annotated": ("d_000005_000015: 6.00 of 10.00 s",),
    }


def test_thumos_durations_come_from_the_videos(thumos_folder, tmp_path):
    videos = tmp_path / "videos"
    write_video(videos / "validation" / "video_validation_0000001.mp4", 20)
    write_video(videos / "test" / "video_test_0000004.mp4", 30)
    builder, report = dataset.build("thumos14", videos, thumos_folder, tmp_path / "data", SAMPLING)
    (video,) = records.videos(builder, "validation")
    assert video.duration == 2.0 and video.segments.tolist() == [[1.0, 2.0]]
    assert report.videos == {"test": 1, "validation": 1}
    write(thumos_folder / "Shotput_test.txt", "video_test_0000004 1.0 2.0\n")
    builder, _ = dataset.build("thumos14", videos, thumos_folder, tmp_path / "data", SAMPLING)
    (video,) = records.videos(builder, "test")
    assert [1.0, 2.0] in video.segments.tolist()


@pytest.fixture(scope="module")
def real(shared_data):
    """The annotations of ActivityNet 1.3."""
    return formats.load(shared_data / "annotations" / "activitynet_1.3.json")


def test_the_real_activitynet_file_with_two_of_its_videos(shared_data, real, tmp_path):
    path, known = shared_data / "annotations" / "activitynet_1.3.json", real
    chosen = [next(iter(known.subset(subset))) for subset in ("training", "validation")]
    for video_id, name in zip(chosen, ("bikes", "arm_wrestling"), strict=True):
        (tmp_path / "videos").mkdir(exist_ok=True)
        link = tmp_path / "videos" / f"v_{video_id}.mp4"
        link.symlink_to(shared_data / "videos" / f"{name}.mp4")
    said = []
    builder, report = dataset.build(
        "activitynet", tmp_path / "videos", path, tmp_path / "data", SAMPLING, say=said.append
    )
    assert said[0].startswith("activitynet: ") and "published are 10024" in said[0]
    assert records.class_names(builder) == known.classes and len(known.classes) == 200
    assert report.videos == {"training": 1, "validation": 1}
    saved = json.loads((pathlib.Path(builder.data_dir) / "report.json").read_text())
    missing = "annotated videos missing from the folder"
    assert saved["counts"][missing] == len(saved["problems"][missing]) == 19228 - 2
    assert saved["counts"][activitynet.NOT_FORWARD] == 12
    assert saved["counts"][activitynet.PAST_END] == 13


def test_what_differs_from_the_published_numbers_is_said(shared_data, real):
    lines = formats.differences("activitynet", real)
    assert len(lines) == 3 and "has 9649 training videos, published are 10024" in lines[0]
    assert "activity-net.org" in lines[0]
    found = formats.load(shared_data / "annotations" / "thumos14.json")
    (line,) = formats.differences("thumos14", found)
    assert "has 210 test videos, published are 213" in line
    assert formats.differences("my_videos", found) == []


def test_nothing_is_said_where_the_numbers_are_as_published():
    segment = np.array([[0.0, 1.0]])

    def videos(**subsets):
        return [
            Video(f"{subset}{i}", subset, None, segment, (f"class {i % 200}",))
            for subset, count in subsets.items()
            for i in range(count)
        ]

    found = activitynet.collect("a.json", videos(training=37613, validation=5981, testing=5987), {})
    assert formats.differences("hacs", found) == []
    found = activitynet.collect("a.json", videos(training=150, validation=5981), {})
    (training,) = formats.differences("hacs", found)
    assert "a.json has 150 training videos, published are 37613" in training
    found = activitynet.collect("a.json", videos(validation=150), {})
    assert "has 150 classes, published are 200" in formats.differences("hacs", found)[0]


def test_labels_are_places_in_the_sorted_class_names(real):
    assert list(real.classes) == sorted(real.classes)
    assert real.classes[0] == "Applying sunscreen" and real.classes[199] == "Zumba"
    videos = real.subset("validation")
    truth = ground_truth.ground_truth(videos, real.classes)
    names = [name for video in videos.values() for name in video.labels]
    assert names == [real.classes[label] for label in np.asarray(truth.label)]
