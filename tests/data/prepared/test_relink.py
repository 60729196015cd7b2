"""Another annotation file over the same videos: the stored frames stay."""

import pickle

import numpy as np
import pytest
from small_videos import annotated, save_annotations, write_video

from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import dataset, records
from lofi_jax.errors import UserError

SAMPLING = Sampling(snippets=4, frames=2, stride=0, short_side=16, quality=90)
FIRST = {
    "a": annotated("training", (0, 1, "run")),
    "b": annotated("training", (1, 2, "run")),
    "c": annotated("testing", (0, 2, "run")),
    "torn": annotated("testing", (0, 2, "run")),
}
SECOND = {
    "c": annotated("training", (0.5, 1, "jump"), (1, 99, "run")),
    "b": annotated("training", (0, 1, "jump")),
    "torn": annotated("training", (0, 2, "run")),
    "a": annotated("validation", (1, 2, "swim")),
}


@pytest.fixture
def build(tmp_path):
    """Builds the dataset with an annotation; returns it, the report, and what was said."""
    for number, name in enumerate("abc"):
        write_video(tmp_path / "videos" / f"{name}.mp4", 20 + 10 * number)
    (tmp_path / "videos" / "torn.mp4").write_bytes(b"no video")

    def build(database, data="data"):
        annotations = save_annotations(tmp_path / "annotations.json", database)
        said = []
        given = "x", tmp_path / "videos", annotations, tmp_path / data, SAMPLING
        return *dataset.build(*given, say=said.append), said

    return build


def contents(builder, split):
    return [
        {
            key: np.asarray(value).tolist()
            for key, value in (vars(r) | {"frames": list(r.frames)}).items()
        }
        for r in records.Records(builder, split)
    ]


def stored(tmp_path):
    return {p: p.stat().st_mtime_ns for p in tmp_path.rglob("data/**/*.array_record*")}


def test_the_new_annotations_go_with_the_stored_frames(build, tmp_path):
    build(FIRST)
    before = stored(tmp_path)
    linked, report, said = build(SECOND)
    fresh, expected, _ = build(SECOND, "fresh")
    assert stored(tmp_path).items() >= before.items() and len(before) == 2
    (line,) = said
    assert line.endswith("another annotation file; linked 3 stored videos with it")
    assert records.class_names(linked) == ("jump", "run", "swim")
    for split in ("training", "validation"):
        assert contents(linked, split) == contents(fresh, split)
        assert [v.video_id for v in records.videos(linked, split)] == [
            v.video_id for v in records.videos(fresh, split)
        ]
    assert report.videos == expected.videos
    assert {r: sorted(e) for r, e in report.problems.items()} == {
        r: sorted(e) for r, e in expected.problems.items()
    }
    travelled = pickle.loads(pickle.dumps(records.Records(linked, "training")))
    assert travelled[0].video_id == "c" and len(travelled[0].frames[0]) > 0


def test_it_is_linked_once_and_back_again(build):
    first, _, _ = build(FIRST)
    wanted = {split: contents(first, split) for split in ("training", "testing")}
    build({"b": FIRST["b"]})
    assert build({"b": FIRST["b"]})[2] == []
    again, _, said = build(FIRST)
    assert len(said) == 1
    assert {split: contents(again, split) for split in ("training", "testing")} == wanted


def test_a_video_that_is_not_stored_is_refused_by_name(build, tmp_path):
    build(FIRST)
    write_video(tmp_path / "videos" / "d.mp4", 20)
    with pytest.raises(UserError, match=r"another annotation file, 1 videos more \(d.mp4\)"):
        build(SECOND | {"d": annotated("training", (0, 1, "run"))})
    write_video(tmp_path / "videos" / "a.mp4", 90)
    with pytest.raises(UserError, match=r"another annotation file, 1 videos changed \(a.mp4\)"):
        build(SECOND)
