"""Frames out of video files, against PyAV's own time stamps and numbered frames."""

import functools
import pathlib

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import number, numbered, read_frames, write

from lofi_jax.data.video import packets, video_file
from lofi_jax.data.video.sample_times import sample_times


@functools.lru_cache(maxsize=1)
def decoded(path: pathlib.Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """All that PyAV decodes: seconds from the first frame, and frames with square pixels, but not
    turned.
    """
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        aspect = container.streams.video[0].sample_aspect_ratio or 1
    times = np.array([float(frame.pts * frame.time_base) for frame in frames])
    images = [frame.to_ndarray(format="rgb24") for frame in frames]
    height, width = images[0].shape[:2]
    return times - times[0], [cv2.resize(x, (round(width * aspect), height)) for x in images]


def shown_at(path: pathlib.Path, times) -> list[np.ndarray]:
    stamps, frames = decoded(path)
    return [frames[max(0, np.searchsorted(stamps, t + 1e-3, side="right") - 1)] for t in times]


def test_evenly_spread_times():
    np.testing.assert_allclose(
        sample_times(12.0, 30.0, snippets=3, frames=2, stride=0), [1, 3, 5, 7, 9, 11]
    )


def test_times_a_stride_apart_lie_around_the_centres_and_inside():
    times = sample_times(8.0, 4.0, snippets=2, frames=4, stride=4).reshape(2, 4)
    np.testing.assert_allclose(times, [[0.5, 1.5, 2.5, 3.5], [4.5, 5.5, 6.5, 7.5]])
    times = sample_times(8.0, 4.0, snippets=2, frames=4, stride=8).reshape(2, 4)
    np.testing.assert_allclose(times, [[0, 1, 3, 5], [3, 5, 7, 7.875]])


@given(
    duration=st.floats(0.01, 1e4),
    fps=st.floats(1, 240),
    snippets=st.integers(1, 20),
    frames=st.integers(1, 9),
    stride=st.integers(0, 16),
    rate=st.one_of(st.just(0.0), st.floats(0.01, 2)),
)
def test_times_lie_inside_the_video(duration, fps, snippets, frames, stride, rate):
    times = sample_times(duration, fps, snippets, frames, stride, rate)
    if rate:
        snippets = len(times) // frames
        assert max(1, duration * rate - 1e-3) <= snippets < duration * rate + 1 + 1e-9
    assert times.shape == (snippets * frames,)
    assert (times >= 0).all() and (times < duration).all()


def test_at_a_rate_snippets_lie_as_far_apart_in_any_video():
    short = sample_times(2.0, 10.0, snippets=9, frames=2, stride=0, rate=2.0)
    np.testing.assert_allclose(short, [0.125, 0.375, 0.625, 0.875, 1.125, 1.375, 1.625, 1.875])
    longer = sample_times(2.3, 10.0, snippets=9, frames=2, stride=0, rate=2.0)
    np.testing.assert_allclose(longer[:8], short)
    np.testing.assert_allclose(longer[8:], [2.125, 2.25])
    strided = sample_times(2.3, 10.0, snippets=9, frames=2, stride=2, rate=2.0)
    np.testing.assert_allclose(strided[:4], [0.15, 0.35, 0.65, 0.85])
    assert len(sample_times(1.0 + 1e-9, 10.0, 9, 1, 0, rate=2.0)) == 2


@pytest.mark.parametrize("name", ["arm_wrestling.mp4", "bikes.mp4", "flipping_a_pancake.mkv"])
def test_every_frame_of_a_real_video_comes_at_its_own_time(shared_data, name):
    path = shared_data / "videos" / name
    stamps, frames = decoded(path)
    read = list(video_file.frames_at(path, stamps))
    assert len(read) == len(frames)
    assert all(np.array_equal(a, b) for a, b in zip(read, frames, strict=True))


@settings(max_examples=15, deadline=None)
@given(times=st.lists(st.floats(0, 9.99), min_size=1, max_size=4))
def test_sparse_times_of_a_real_video_give_what_decoding_everything_gives(shared_data, times):
    path = shared_data / "videos" / "arm_wrestling.mp4"
    read, broke = read_frames(path, times)
    assert broke is None
    assert all(np.array_equal(a, b) for a, b in zip(read, shown_at(path, times), strict=True))


@pytest.fixture(scope="module")
def long_path(tmp_path_factory) -> pathlib.Path:
    """30 s at 10 fps, a keyframe every 2 s, with frames that refer across the keyframes."""
    path = tmp_path_factory.mktemp("videos") / "long.mp4"
    images = [numbered(i) for i in range(300)]
    x264 = "keyint=20:min-keyint=20:scenecut=0:open-gop=1:bframes=3:b-adapt=0"
    return write(path, images, **{"x264-params": x264})


def test_jumps_over_keyframes_are_exact(long_path):
    rng = np.random.default_rng(0)
    for count in (1, 3, 10, 40):
        times = rng.uniform(0, 30, count)
        read, _ = read_frames(long_path, times)
        assert [number(image) for image in read] == [int(t * 10 + 0.01) for t in times]


def test_keyframes_that_are_none_are_not_trusted(tmp_path):
    """A stream refreshed bit by bit names keyframes, yet decodes from none but the first."""
    x264 = "intra-refresh=1:keyint=20:bframes=0"
    pictures = [numbered(i) for i in range(100)]
    path = write(tmp_path / "refreshed.mkv", pictures, **{"x264-params": x264})
    read, broke = read_frames(path, [0.35, 4.15, 6.25, 9.85])
    assert [number(image) for image in read] == [3, 41, 62, 98] and broke is None


def test_what_lies_between_the_wanted_frames_is_not_decoded(long_path, tmp_path):
    """Damage in the middle does no harm to those who do not look there."""
    with av.open(str(long_path)) as container:
        packets = [(p.pts * p.time_base, p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(long_path.read_bytes())
    for seconds, position, size in packets:
        if 10 <= seconds < 14:
            data[position : position + size] = b"\xff" * size
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    read, broke = read_frames(path, [25.05, 2.05])
    assert [number(image) for image in read] == [250, 20] and broke is None
    read, broke = read_frames(path, [2.05, 12.05, 25.05])
    assert [number(image) for image in read] == [20] and 9.5 <= broke <= 10


def test_the_clock_starts_with_the_first_frame(tmp_path):
    stamps = [5000 + 100 * i for i in range(20)]
    for name in ("late.mkv", "late.mp4"):
        path = write(tmp_path / name, [numbered(i) for i in range(20)], stamps=stamps)
        read, _ = read_frames(path, [0.0, 0.45, 1.9])
        assert [number(image) for image in read] == [0, 4, 19]
        assert video_file.probe(path).duration == pytest.approx(2.0, abs=0.1)


def test_variable_frame_rate_shows_the_frame_of_the_moment(tmp_path):
    stamps = [0, 40, 80, 1000, 1010, 2500]
    path = write(tmp_path / "vfr.mkv", [numbered(i) for i in range(6)], stamps=stamps)
    read, _ = read_frames(path, [0.038, 0.5, 0.998, 1.005, 1.02, 2.4, 2.5])
    assert [number(image) for image in read] == [0, 2, 2, 3, 4, 4, 5]


def test_order_and_repetition_of_times_are_kept(long_path):
    times = [3.05, 0.05, 3.05, 3.06, 1.05]
    read, _ = read_frames(long_path, times)
    assert [number(image) for image in read] == [30, 0, 30, 30, 10]


def test_real_videos_are_probed(shared_data):
    info = video_file.probe(shared_data / "videos" / "test_340x256.mp4")
    assert (info.duration, info.fps, info.frames) == (10.0, 30.0, 300)
    # Its 340 x 256 pixels, made from 16:9, are a third wider than high.
    assert (info.width, info.height) == (455, 256)
    info = video_file.probe(shared_data / "videos" / "flipping_a_pancake.mkv")
    assert (info.frames, info.fps) == (310, 30.0)
    # The sound goes on to 10.381 s.
    assert info.duration == pytest.approx(10.333)
    info = video_file.probe(shared_data / "videos" / "test_mpeg4.avi")
    assert (info.frames, info.fps, info.duration) == (164, 25.0, 6.56)


def test_a_rotated_video_comes_out_upright(shared_data):
    path = shared_data / "videos" / "rotated_90.mov"
    info = video_file.probe(path)
    assert (info.width, info.height, info.frames) == (320, 568, 3)
    read, _ = read_frames(path, [0.0])
    stored = shown_at(path, [0.0])[0]
    assert np.array_equal(read[0], np.rot90(stored, -1))
    sampled = video_file.sample(path, snippets=8, frames=4, stride=8, short_side=64)
    assert {frame.shape for frame in sampled.frames} == {(114, 64, 3)}


def test_mpeg4_in_avi_is_right_to_one_frame(shared_data):
    path = shared_data / "videos" / "test_mpeg4.avi"
    frames = decoded(path)[1]
    for wanted in (0, 1, 2, 50, 77, 163):
        read, _ = read_frames(path, [wanted / 25])
        near = frames[max(0, wanted - 1) : wanted + 2]
        assert any(np.array_equal(read[0], frame) for frame in near)


def test_of_a_broken_video_the_decodable_part_comes_out(shared_data):
    path = shared_data / "videos" / "corrupted.mp4"
    read, broke = read_frames(path, [4.5, 0.1, 2.7, 2.9])
    assert read.shape == (2, 720, 1280, 3)
    assert broke == pytest.approx(2.8)
    sampled = video_file.sample(path, snippets=4, frames=2, stride=0, short_side=48)
    assert sampled.broken and sampled.stated == 5.0
    assert sampled.info.duration == pytest.approx(2.8)
    assert len(sampled.frames) == 8 and all(f.shape == (48, 85, 3) for f in sampled.frames)
    with pytest.raises(video_file.BrokenVideo, match="corrupted.mp4: decodes only up to 2.80 s"):
        read_frames(path, [3.0])


def test_a_file_is_read_through_once_until_it_changes(tmp_path, monkeypatch):
    read, through = [], packets._read_index
    monkeypatch.setattr(packets, "_read_index", lambda path: read.append(path) or through(path))
    path = write(tmp_path / "a.mp4", [numbered(i) for i in range(20)])
    video_file.sample(path, snippets=2, frames=2, stride=0)
    assert video_file.probe(path).duration == 2.0 and read == [str(path)]
    write(path, [numbered(i) for i in range(30)])
    assert video_file.probe(path).duration == 3.0 and read == 2 * [str(path)]


def test_a_file_cut_short_is_as_long_as_what_is_left(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(100)]
    path = write(tmp_path / "whole.mp4", noise, tags={"movflags": "faststart"})
    assert video_file.probe(path).duration == 10.0
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sampled = video_file.sample(cut, snippets=10, frames=1, stride=0)
    assert 3 < sampled.info.duration < 7
    times = sample_times(sampled.info.duration, 10.0, 10, 1, 0)
    whole = read_frames(path, times)[0]
    assert np.array_equal(np.stack(sampled.frames), whole)


def test_overlapping_snippets_keep_their_frames_together(long_path):
    sampled = video_file.sample(long_path, snippets=20, frames=5, stride=8, encode=number)
    times = sample_times(30.0, 10.0, 20, 5, 8)
    assert (np.diff(times) < 0).any()
    assert sampled.frames == [int(t * 10 + 0.01) for t in times]
    assert not sampled.broken


def test_frames_are_shrunk_by_area(long_path):
    full, _ = read_frames(long_path, [1.05])
    small, _ = read_frames(long_path, [1.05], short_side=8)
    assert small.shape == (1, 8, 40, 3)
    assert np.array_equal(small[0], cv2.resize(full[0], (40, 8), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size"),
    [
        ("deep.mkv", "libx264", "yuv420p10le", (32, 48)),
        ("odd.mkv", "libx264", "yuv444p", (33, 47)),
        ("web.webm", "libvpx-vp9", "yuv420p", (32, 48)),
        ("old.mov", "mjpeg", "yuvj420p", (32, 48)),
    ],
)
def test_other_formats(tmp_path, name, codec, pixels, size):
    grey = [np.full((*size, 3), 20 * i, np.uint8) for i in range(12)]
    path = write(tmp_path / name, grey, codec=codec, pixels=pixels)
    info = video_file.probe(path)
    assert (info.height, info.width, info.frames, info.fps) == (*size, 12, 10.0)
    read, _ = read_frames(path, [0.0, 0.55, 1.1])
    np.testing.assert_allclose(read.mean(axis=(1, 2, 3)), [0, 100, 220], atol=4)


def test_a_single_frame_is_a_video(tmp_path):
    path = write(tmp_path / "one.mp4", [numbered(5)])
    assert video_file.probe(path).duration == pytest.approx(0.1)
    sampled = video_file.sample(path, snippets=4, frames=2, stride=8, encode=number)
    assert sampled.frames == [5] * 8


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_empty_stream(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        container.start_encoding()


def write_undecodable(path):
    write(path, [numbered(i) for i in range(3)])
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in packets:
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("absent.mp4", lambda path: None, "No such file"),
        ("folder.mp4", lambda path: path.mkdir(), "cannot be opened"),
        ("nothing.mp4", lambda path: path.write_bytes(b""), "cannot be opened"),
        ("words.mp4", lambda path: path.write_text("not a video\n" * 50), "cannot be opened"),
        ("sound.mkv", write_sound, "no video, only audio"),
        ("frameless.avi", write_empty_stream, "holds no frames"),
        ("dead.mp4", write_undecodable, "no frame can be decoded"),
    ],
)
def test_what_is_no_video_is_said_in_one_line_with_the_file(tmp_path, name, make, reason):
    make(tmp_path / name)
    for use in (
        video_file.probe,
        lambda path: read_frames(path, [0.0]),
        lambda path: video_file.sample(path, 2, 2, 0),
    ):
        with pytest.raises(video_file.VideoError) as error:
            use(tmp_path / name)
        message = str(error.value)
        assert name in message and reason in message and "\n" not in message
