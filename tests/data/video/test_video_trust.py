"""Videos as they come: each of their frames at its time by PyAV's own stamps, or one line that
names the file.
"""

import contextlib
import re
import shutil
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import number, numbered, read_frames, write

from lofi_jax.data.ingest import annotate
from lofi_jax.data.ingest.sampling import Sampling, read_record
from lofi_jax.data.prepared import dataset, records
from lofi_jax.data.video import video_file
from lofi_jax.data.video.sample_times import sample_times

SAMPLING = Sampling(snippets=4, frames=2, stride=0, short_side=16)
IMAGES = [numbered(i, height=16) for i in range(40)]
# Milliseconds between frames as phones record them: slow, fast, and a still of two seconds.
UNEVEN = np.cumsum([0, *[33] * 10, *[100] * 10, 2000, *[7] * 10, *[40] * 8]).tolist()


def odd_sized() -> list[np.ndarray]:
    return [np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge") for image in IMAGES]


def turned(stream) -> None:
    stream.set_display_rotation(180)


def with_sound_before(path):
    """A film whose sound begins half a second before its images."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = IMAGES[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        noise.sample_rate, noise.pts = 8000, 0
        container.mux(sound.encode(noise))
        for place, image in enumerate(IMAGES):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = place + 5, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))


FILES = {
    "uneven.mkv": lambda path: write(path, IMAGES, stamps=UNEVEN),
    "uneven.mp4": lambda path: write(path, IMAGES, stamps=UNEVEN),
    "deep.mkv": lambda path: write(path, IMAGES, pixels="yuv420p10le", bf="3"),
    "deep.mp4": lambda path: write(path, IMAGES, codec="libx265", pixels="yuv420p10le"),
    "odd.mp4": lambda path: write(path, odd_sized(), pixels="yuv444p"),
    "turned.mov": lambda path: write(path, IMAGES, shape=turned),
    "ntsc.mp4": lambda path: write(path, IMAGES, fps=Fraction(30000, 1001)),
    "web.webm": lambda path: write(path, IMAGES, codec="libvpx-vp9"),
    "old.avi": lambda path: write(path, IMAGES, codec="mpeg4", bf="0"),
    "single.mp4": lambda path: write(path, IMAGES[7:8]),
    "sound_first.mkv": with_sound_before,
    "fragments.mp4": lambda path: write(
        path, IMAGES, tags={"movflags": "frag_keyframe+empty_moov"}, g="5"
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trust")
    for name, make in FILES.items():
        make(folder / name)
    return folder


def seen(path) -> tuple[np.ndarray, list[int]]:
    """What PyAV decodes: the seconds of each frame from the first one's, and its number."""
    frames = []
    with av.open(str(path)) as container, contextlib.suppress(av.FFmpegError):
        for frame in container.decode(video=0):
            frames.append(frame)
    times = np.array([float(frame.pts * frame.time_base) for frame in frames])
    return times - times[0], [number_of(frame.to_ndarray(format="rgb24")) for frame in frames]


def number_of(image: np.ndarray) -> int:
    return number(image[:16, :160])


def check(path, times: np.ndarray, numbers: list[int], turns: int = 0) -> None:
    """At its own stamp, and just before the next one's, each frame is the one that is read."""
    wanted = np.concatenate([times, np.nextafter(times[1:], 0) - 2e-3])
    read, broke = read_frames(path, wanted)
    read = [number_of(np.rot90(image, turns)) for image in read]
    assert broke is None
    assert read == numbers + numbers[:-1]


@pytest.mark.parametrize("name", FILES)
def test_each_frame_is_read_at_its_own_time(folder, name):
    times, numbers = seen(folder / name)
    assert numbers == ([7] if name == "single.mp4" else list(range(40)))
    check(folder / name, times, numbers, turns=2 if name == "turned.mov" else 0)
    info = video_file.probe(folder / name)
    assert info.frames == len(times)
    assert times[-1] < info.duration <= times[-1] + 0.2


def test_a_title_that_is_no_text_harms_no_image(tmp_path):
    def titled(stream):
        stream.container.metadata["title"] = "a title"

    path = write(tmp_path / "titled.mp4", IMAGES, shape=titled)
    assert b"a title" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"a title", 7 * b"\xff"))
    check(path, np.arange(40) / 10, list(range(40)))


def test_an_hour_is_sampled_in_little_memory_and_right(tmp_path):
    """One frame a second: those asked for come out, each to the second."""
    images = [numbered(i % 1024, height=16) for i in range(3600)]
    path = write(tmp_path / "hour.mp4", images, fps=1, preset="ultrafast")
    assert video_file.probe(path).duration == 3600
    sampled = video_file.sample(path, snippets=100, frames=2, stride=4, encode=number_of)
    times = sample_times(3600.0, 1.0, 100, 2, 4)
    assert sampled.frames == [int(t + 1e-3) % 1024 for t in times]


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["uneven.mkv", "uneven.mp4", "deep.mp4", "old.avi", "web.webm"])
def test_a_file_cut_short_gives_its_own_frames_or_one_line(folder, tmp_path, name, part):
    data = (folder / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(part * len(data))])
    try:
        sampled = video_file.sample(path, snippets=8, frames=1, stride=0, encode=number_of)
    except video_file.VideoError as error:
        assert name in str(error) and "\n" not in str(error)
        return
    times, numbers = seen(path)
    assert sampled.info.duration <= times[-1] + 0.2
    centres = sample_times(sampled.info.duration, 1.0, 8, 1, 0)
    expected = [numbers[np.searchsorted(times, t + 1e-3, side="right") - 1] for t in centres]
    assert sampled.frames == expected


def test_the_report_says_how_much_of_a_long_file_was_cut_off(tmp_path):
    images = [numbered(i, height=16) for i in range(200)]
    whole = write(tmp_path / "whole.mp4", images, tags={"movflags": "faststart"}, g="10")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert read_record(whole, SAMPLING)[1] == ""
    assert re.fullmatch(r"decodes up to \d+\.\d\d of 20.00 s", read_record(cut, SAMPLING)[1])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_anywhere_raises_nothing_but_a_video_error(folder, tmp_path_factory, data):
    name = data.draw(st.sampled_from(["uneven.mkv", "uneven.mp4", "old.avi", "fragments.mp4"]))
    path = tmp_path_factory.mktemp("damaged") / name
    content = bytearray((folder / name).read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=9)):
        content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        sampled = video_file.sample(path, snippets=4, frames=2, stride=2, short_side=8)
    except video_file.VideoError as error:
        assert name in str(error) and "\n" not in str(error)
    else:
        assert len(sampled.frames) == 8


def test_a_dataset_of_them_holds_what_can_be_used_and_reports_the_rest(folder, tmp_path):
    """One bad file stops nothing: it is left out, by name and reason."""
    videos = shutil.copytree(folder, tmp_path / "videos")
    (videos / "hollow.mp4").write_bytes(b"")
    with av.open(str(videos / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        noise.sample_rate = 8000
        container.mux(stream.encode(noise))
        container.mux(stream.encode(None))
    names = sorted({path.stem for path in videos.iterdir()})
    database = ", ".join(
        f'"{name}": {{"subset": "training", "annotations":'
        ' [{"segment": [0, 0.05], "label": "run"}]}'
        for name in names
    )
    annotations = tmp_path / "annotations.json"
    annotations.write_text(f'{{"database": {{{database}}}}}')
    builder, report = dataset.build("trust", videos, annotations, tmp_path / "data", SAMPLING)
    assert report.videos == {"training": len(names) - 2}
    unreadable = report.problems[annotate.UNREADABLE]
    assert [entry.split(":")[0] for entry in unreadable] == ["hollow", "sound"]
    assert "holds no video, only audio" in unreadable[1]
    for record in records.Records(builder, "training"):
        assert min(record.size) == 16
