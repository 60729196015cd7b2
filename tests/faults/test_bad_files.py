"""One bad file never stops the rest, and nothing is written outside the folders named."""

import json
import os
import pathlib
import socket
import stat
import subprocess
import sys

import commands
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_videos import annotated, save_annotations, write_video

from lofi_jax.data.annotations import formats
from lofi_jax.data.features import external
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.ingest.video_folder import find_videos
from lofi_jax.data.prepared import dataset
from lofi_jax.data.streamed import scan
from lofi_jax.data.video import video_file
from lofi_jax.data.video.packets import VideoError
from lofi_jax.errors import LONGEST, UserError
from lofi_jax.files import read_json, safe_name
from lofi_jax.jobs.prediction.video_paths import expand

SAMPLING = Sampling(snippets=2, frames=2, stride=0, short_side=16)
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"


def make_bad(folder: pathlib.Path, good: pathlib.Path) -> list[pathlib.Path]:
    """Files that are named as videos and are none."""

    def name(text: str) -> pathlib.Path:
        return folder / text

    name("gone.mp4").symlink_to("nowhere.mp4")
    name("loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(name("pipe.mp4"))
    name("null.mp4").symlink_to("/dev/null")
    name("zero.mp4").symlink_to("/dev/zero")
    name("folder.mp4").mkdir()
    name("empty.mp4").touch()
    name("text.mp4").write_text("words")
    name("list.mp4").write_text(f"ffconcat version 1.0\nfile '{good}'\n")
    name("hls.mp4").write_text(HLS.format(good))
    name("dash.mp4").write_text('<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>')
    name("image.mp4").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    # A socket's name must be short.
    here = os.getcwd()
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.mp4")
    os.chdir(here)
    return sorted(folder.glob("*.mp4"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "good" / "v_good.mp4", 20)
    content = (folder / "good" / "v_good.mp4").read_bytes()
    for name in (
        "clip:1.mp4",
        "-y.mp4",
        "a b,c.mp4",
        "\u202e.mp4",
        "a\nb.mp4",
        "%d.mp4",
        "http:.mp4",
    ):
        (folder / "good" / name).write_bytes(content)
    pathlib.Path(os.fsdecode(os.fsencode(folder / "good") + b"/\xff\xfe.mp4")).write_bytes(content)
    (folder / "again").symlink_to(folder)
    (folder / "good" / "up").symlink_to(folder)
    make_bad(folder, folder / "good" / "v_good.mp4")
    return folder


def test_each_bad_file_is_one_line(folder):
    bad = [
        *folder.glob("*.mp4"),
        folder / ("a" * 300 + ".mp4"),
        "a\0.mp4",
        "http://localhost:9/a.mp4",
    ]
    assert len(bad) >= 16
    for path in bad:
        with pytest.raises(VideoError) as caught:
            video_file.sample(path, 2, 2, 0, 16)
        assert len(str(caught.value)) <= LONGEST and str(caught.value).isprintable()


def test_a_good_file_of_any_name_is_read(folder):
    good = [path for path in (folder / "good").iterdir() if path.is_file()]
    assert len(good) == 9
    for path in good:
        assert video_file.probe(path).frames == 20


def test_prepare_lists_bad_files_and_uses_the_rest(folder, tmp_path):
    ids = [path.stem for path in find_videos(folder).values() if path.stem.isprintable()]
    database = {
        i: annotated("training", (0, 1, "run"), duration=2.0) for i in [*ids, "../../etc/x"]
    }
    annotations = save_annotations(tmp_path / "a.json", database)
    for made in (
        dataset.build("video_folder", folder, annotations, tmp_path / "data", SAMPLING)[1],
        scan.scan("video_folder", folder, annotations, tmp_path / "data", SAMPLING).report,
    ):
        assert made.videos == {"training": 6}
        assert len(made.problems["unreadable videos (left out)"]) >= 10
        assert all(line.isprintable() for line in made.summary().splitlines())
        json.dumps(made.to_json(), ensure_ascii=False).encode()


def test_predict_finds_each_file_once(folder):
    found = expand(str(folder))
    assert (
        len(found) == len({path.resolve() for path in found if path.name[:4] != "loop"}) + 1 == 21
    )


IDS = (
    "/NAME",
    "../up",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "a\0b",
    "a" * 5000,
    "é" * 300,
    "\ud800",
    ".hidden",
)


@pytest.mark.parametrize("name", IDS)
def test_ids_are_names_and_never_paths(tmp_path, name):
    store = FeatureStore(tmp_path / "acp")
    store.begin("acp", {"a": 1})
    store.write(name, np.ones((2, 3)))
    (written,) = (tmp_path / "acp").glob("*.npy")
    assert store.missing([name]) == [] and written.name == f"{safe_name(name)}.npy"
    with pytest.raises(UserError, match="no features of video"):
        external.read([str(tmp_path)], name, 2)


@given(st.text(max_size=400), st.text(max_size=400))
def test_two_ids_have_two_names(a, b):
    for name in (a, b):
        made = safe_name(name)
        assert made == pathlib.Path(made).name and not made.startswith(".")
        assert len(os.fsencode(f"{made}.json")) <= 255
    assert (safe_name(a) == safe_name(b)) == (a == b)


def _linked(path, kind):
    with h5py.File(path, "w") as file:
        if kind == "group":
            file.create_group("a")
        elif kind == "soft":
            file["a"] = h5py.SoftLink("/nowhere")
        elif kind == "external":
            file["a"] = h5py.ExternalLink("/etc/passwd", "/a")
        elif kind == "stored outside":
            file.create_dataset("a", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])
        elif kind == "two":
            file["a"], file["b"] = np.ones((2, 2)), np.ones((2, 2))
        elif kind == "text":
            file["a"] = "words"
        elif kind == "huge":
            file.create_dataset("a", (10**9, 10**6), "f4", chunks=(1000, 1000))


def _huge_header(path):
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 64), }"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)


def _npy_named_npz(path):
    with path.open("wb") as file:
        np.save(file, np.ones((2, 2)))


FEATURES = {
    **{
        f"{kind}.h5": lambda path, kind=kind: _linked(path, kind)
        for kind in ("group", "soft", "external", "stored outside", "two", "text", "huge", "none")
    },
    "huge.npy": _huge_header,
    "empty.npy": lambda path: path.touch(),
    "none.npy": lambda path: np.save(path, np.ones((0, 4))),
    "vector.npy": lambda path: np.save(path, np.ones(4)),
    "complex.npy": lambda path: np.save(path, np.ones((4, 2), complex)),
    "text.npy": lambda path: np.save(path, np.array([["a"]])),
    "bool.npy": lambda path: np.save(path, np.ones((4, 2), bool)),
    "object.npy": lambda path: np.save(path, np.array([[None]]), allow_pickle=True),
    "wide.npy": lambda path: np.save(path, np.full((2, 2), 1e300)),
    "nan.npy": lambda path: np.save(path, np.full((2, 2), np.nan)),
    "folder.npy": lambda path: path.mkdir(),
    "pipe.npy": os.mkfifo,
    "dangling.npy": lambda path: path.symlink_to("nowhere"),
    "npy.npz": _npy_named_npz,
    "two.npz": lambda path: np.savez(path, np.ones((2, 2)), np.ones((2, 2))),
    "object.npz": lambda path: np.savez(path, np.array([[None]])),
    "empty.csv": lambda path: path.touch(),
    "names.csv": lambda path: path.write_text("a,b\n"),
    "ragged.csv": lambda path: path.write_text("1,2\n3\n"),
}


@pytest.mark.parametrize("name", FEATURES)
def test_bad_features_are_one_line(tmp_path, name):
    path = tmp_path / name
    FEATURES[name](path)
    with pytest.raises(UserError) as caught:
        external.read([str(tmp_path)], path.stem, 3)
    assert len(str(caught.value)) <= LONGEST and str(caught.value).isprintable()


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, os.mkfifo, lambda p: p.symlink_to(p)])
def test_what_is_no_file_is_not_read(tmp_path, make):
    make(tmp_path / "a.json")
    with pytest.raises(UserError, match="a.json: cannot be read"):
        read_json(tmp_path / "a.json")
    assert stat.S_IFMT(os.lstat(tmp_path / "a.json").st_mode) != stat.S_IFREG


def test_a_dataset_with_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path):
    write_video(tmp_path / "videos" / "a.mp4", 20)
    database = {"a": annotated("training", (0, 1, "run"), duration=2.0)}
    annotations = save_annotations(tmp_path / "a.json", database)
    given = "video_folder", tmp_path / "videos", annotations, tmp_path / "data", SAMPLING
    builder, _ = dataset.build(*given)
    for path in map(pathlib.Path, (*builder.data_path.iterdir(),)):
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(UserError, match="damaged .*pipe.*: delete this folder and prepare"):
            dataset.build(*given)
        path.unlink()
        path.write_bytes(content)
    dataset.build(*given)


def test_a_dataset_below_a_link_that_leads_nowhere_is_explained(tmp_path):
    write_video(tmp_path / "videos" / "a.mp4", 20)
    database = {"a": annotated("training", (0, 1, "run"), duration=2.0)}
    annotations = save_annotations(tmp_path / "a.json", database)
    (tmp_path / "data").symlink_to("nowhere")
    with pytest.raises(UserError, match="/data is a link that leads nowhere.: move or delete it"):
        dataset.build("video_folder", tmp_path / "videos", annotations, tmp_path / "data", SAMPLING)


LONG = "a" * 256
UNREACHABLE = {
    "predict": ["--workdir=run", f"--videos={LONG}", "--output={}/a.json"],
    "predict from a run": ["--workdir=" + LONG, f"--videos={__file__}", "--output={}/a.json"],
    "prepare": ["--dataset=video_folder", f"--video_dir={LONG}", "--annotations=a.json"]
    + ["--data_dir={}"],
    "prepare with annotations": ["--dataset=video_folder", "--video_dir={}", "--data_dir={}/data"]
    + [f"--annotations={LONG}"],
    "convert": [f"--source={__file__}", "--head=gtad", f"--output={{}}/{LONG}"],
    "main": [f"--config={commands.TINY}", f"--workdir={{}}/{LONG}"],
}


@pytest.mark.parametrize("job", UNREACHABLE)
def test_a_path_that_cannot_be_looked_at_is_one_line(tmp_path, job):
    arguments = [argument.format(tmp_path) for argument in UNREACHABLE[job]]
    ended = commands.run(job.split()[0], *arguments)
    assert commands.refused(ended, "aaa", "File name too long"), ended.stderr


def test_developers_see_where_it_was_looked_at():
    code = "from lofi_jax import errors; errors.run(lambda: open('/nowhere/x'))"
    for flags, says in (((), ("error: /nowhere/x: No such",)), (("-Xdev",), ("Traceback",))):
        ended = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True)
        assert ended.returncode == 1 and ended.stderr.startswith(says), ended.stderr


def test_annotations_in_a_pipe_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(UserError, match="a.json: cannot be read .it is a pipe"):
        formats.load(tmp_path / "a.json")
