"""Reading straight from video files: records, segments and order of a prepared dataset, and frames
close to its own.
"""

import json

import numpy as np
import pytest
import videos as made

from lofi_jax.data.ingest.sampling import Sampling, read_record
from lofi_jax.data.loader import clips
from lofi_jax.data.prepared import dataset, records
from lofi_jax.data.streamed import scan, speed, video_frames
from lofi_jax.data.video import jpeg, video_file
from lofi_jax.errors import UserError
from lofi_jax.fidelity import Fidelity, reduce

SAMPLING = Sampling(snippets=8, frames=2, stride=2, short_side=64)
FULL = Fidelity(8, 64, 64)
NAME = "small"


def images(count, seed, height=96, width=144):
    """Slowly changing images without fine detail, which JPEG keeps well."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / width
    waves = rng.uniform(1, 4, (3, 2))
    return [
        np.stack([127 + 100 * np.sin(a * x + b * y + i / 20) for a, b in waves], -1).astype(
            np.uint8
        )
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos of several lengths, one of them cut short, one no video; and their annotations."""
    root = tmp_path_factory.mktemp("streaming")
    (root / "videos").mkdir()
    database = {}
    for i, count in enumerate((30, 45, 80, 61)):
        made.write(root / "videos" / f"v_{i}.mp4", images(count, i), g="10")
        segments = [[0.5 + 0.1 * i, 2.0], [2.2, 20.0]]
        database[str(i)] = {
            "subset": "training" if i < 3 else "testing",
            "annotations": [{"segment": s, "label": "ab"[j]} for j, s in enumerate(segments)],
        }
    cut = made.write(root / "cut.mp4", images(90, 9), g="10", tags={"movflags": "faststart"})
    whole = cut.read_bytes()
    (root / "videos" / "cut.mp4").write_bytes(whole[: len(whole) * 7 // 10])
    (root / "videos" / "hollow.mp4").touch()
    for name in ("cut", "hollow", "missing"):
        database[name] = database["0"]
    (root / "annotations.json").write_text(json.dumps({"database": database}))
    return root


@pytest.fixture(scope="module")
def scanned(folder):
    return scan.scan(
        NAME, folder / "videos", folder / "annotations.json", folder / "streamed", SAMPLING
    )


@pytest.fixture(scope="module")
def prepared(folder):
    return dataset.build(
        NAME, folder / "videos", folder / "annotations.json", folder / "prepared", SAMPLING
    )


def test_records_are_those_of_the_prepared_dataset(scanned, prepared):
    builder, report = prepared
    assert scanned.report == report and report.videos["training"] == 4
    assert scanned.classes == records.class_names(builder)
    for split in ("training", "testing"):
        streamed, stored = scanned.records(split), records.Records(builder, split)
        assert len(streamed) == len(stored)
        for a, b, annotated in zip(streamed, stored, scanned.videos(split), strict=True):
            assert len(a.frames) == len(b.frames) == 16
            for name in ("video_id", "size", "duration", "fps"):
                assert getattr(a, name) == getattr(b, name)
            for name in ("segments", "labels"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
            assert annotated.video_id == a.video_id and annotated.duration == a.duration
            np.testing.assert_array_equal(annotated.segments, a.segments)


@pytest.mark.parametrize(
    "fidelity", [FULL, reduce(FULL, spatial=4), reduce(FULL, temporal=4)], ids=str
)
def test_batches_are_the_prepared_datasets_within_what_jpeg_loses(scanned, prepared, fidelity):
    augmentation = clips.Augmentation((0.5, 1.0), flip=True)
    whole = clips.WholeVideo(lambda index: fidelity, 2, 4, augmentation, seed=3)
    streamed, stored = (
        iter(clips.training_batches(source, whole, 3, seed=5))
        for source in (scanned.records("training"), records.Records(prepared[0], "training"))
    )
    for _ in range(4):
        a, b = next(streamed), next(stored)
        assert a["frames"].shape == (3, fidelity.snippets, 2, fidelity.height, fidelity.width, 3)
        difference = np.abs(a["frames"].astype(int) - b["frames"])
        assert difference.mean() < 2 and np.percentile(difference, 99) < 12
        for key in ("video_id", "segments", "labels", "valid"):
            np.testing.assert_array_equal(a[key], b[key])


def test_workers_read_the_same_from_the_files(scanned):
    whole = clips.WholeVideo(lambda index: FULL, 2, 4, clips.NONE, seed=3)
    records_ = scanned.records("training")
    here, there = (iter(clips.training_batches(records_, whole, 2, 5, n)) for n in (0, 1))
    for _ in range(3):
        np.testing.assert_array_equal(next(here)["frames"], next(there)["frames"])
    there.close()


def shown(frames, numbers, size, height, width) -> np.ndarray:
    clip = np.empty((len(numbers), height, width, 3), np.uint8)
    frames.read(np.array(numbers), size, jpeg.Crop(0, 0, 1, 1), clip)
    return clip


def test_nothing_is_decoded_before_it_is_wanted(tmp_path):
    tags = {"movflags": "faststart"}
    frames = [made.numbered(i) for i in range(200)]
    path = made.write(tmp_path / "numbered.mp4", frames, tags=tags, g="10")
    record, covered = video_frames.open_video(path, Sampling(10, 2, 1, 32))
    assert covered == "" and len(record.frames) == 20
    read = shown(record.frames, [18, 19], record.size, 32, 160)
    assert [made.number(image) for image in read] == [189, 190]
    # With most of what lies between the header and these frames overwritten, they still come out.
    content = bytearray(path.read_bytes())
    begin, end = content.index(b"mdat") + 1000, len(content) * 8 // 10
    assert end - begin > len(content) // 3
    content[begin:end] = bytes(end - begin)
    path.write_bytes(content)
    again = shown(record.frames, [18, 19], record.size, 32, 160)
    np.testing.assert_array_equal(again, read)


def test_what_cannot_be_decoded_shows_the_frame_before_it(tmp_path, capsys):
    path = made.write(tmp_path / "short.mp4", [made.numbered(i) for i in range(30)])
    frames = video_frames.VideoFrames(str(path), np.array([9.0, 0.1, 2.9]), 32)
    for _ in range(2):
        read = shown(frames, [0, 1, 2], (32, 160), 32, 160)
        assert [made.number(image) for image in read] == [29, 1, 29]
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and str(path) in said[0] and "decodes only up to 3.00 s" in said[0]


def test_a_video_that_has_gone_is_black_and_said(tmp_path, capsys):
    frames = video_frames.VideoFrames(str(tmp_path / "gone.mp4"), np.array([1.0]), 32)
    assert shown(frames, [0], (32, 32), 8, 8).max() == 0
    assert "gone.mp4: cannot be opened" in capsys.readouterr().out


def test_frames_far_apart_are_those_that_reading_through_gives(tmp_path):
    path = made.write(tmp_path / "long.mp4", [made.numbered(i) for i in range(600)], g="12", bf="2")
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted = np.sort(rng.choice(600, 3, replace=False))
        frames = video_file.frames_at(path, wanted / 10 + 0.05)
        assert [made.number(frame) for frame in frames] == wanted.tolist()


def test_a_changed_file_is_read_anew(tmp_path):
    path = tmp_path / "changing.mp4"
    for count in (40, 20):
        made.write(path, [made.numbered(i) for i in range(count)])
        assert [made.number(frame) for frame in video_file.frames_at(path, [1.0, 99.0 / 50])] == [
            10,
            19,
        ]
    with pytest.raises(video_file.BrokenVideo):
        list(video_file.frames_at(path, [3.9]))


def test_a_second_scan_finds_the_first_and_other_input_is_refused(folder, scanned, tmp_path):
    given = folder / "annotations.json", folder / "streamed", SAMPLING
    seen = []
    again = scan.scan(NAME, folder / "videos", *given, progress=lambda *x: seen.append(x))
    assert again.report == scanned.report and seen == []
    loaded = scan.load(NAME, folder / "videos", folder / "streamed", SAMPLING)
    assert [r.video_id for r in loaded.records("training")] == ["0", "1", "2", "cut"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "v_0.mp4").write_bytes((folder / "videos" / "v_0.mp4").read_bytes())
    with pytest.raises(UserError, match="was made from other input .now .* fewer"):
        scan.scan(NAME, other, *given)
    with pytest.raises(UserError, match="no videos of subset 'validation' can be read"):
        scanned.records("validation")


def test_the_user_hears_how_much_slower_it_is(scanned):
    assert "frames a second and core from the video files" in speed.compare(scanned)


def test_an_opened_video_is_the_record_that_predict_would_store(folder):
    for name in ("v_2.mp4", "cut.mp4"):
        opened, covered = video_frames.open_video(folder / "videos" / name, SAMPLING)
        stored, also = read_record(folder / "videos" / name, SAMPLING)
        assert covered == also and (name == "cut.mp4") == bool(covered)
        for name in ("video_id", "size", "duration", "fps"):
            assert getattr(opened, name) == getattr(stored, name)
