"""Turned, mirrored and stretched videos, against what a player would show of them."""

import gc
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from videos import read_frames, write

from lofi_jax.data.video import video_file

# A bright corner and a dim edge, so that no turn or flip of it looks like another one.
IMAGE = np.full((32, 48, 3), 60, np.uint8)
IMAGE[:16, :16] = 255
IMAGE[:, 40:] = 0


def read(path, **options) -> np.ndarray:
    return read_frames(path, [0.0], **options)[0][0]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_all_eight_orientations_come_out_as_a_player_shows_them(tmp_path, turns, mirrored):
    """`turns` are counterclockwise, and the mirror comes after them."""

    def shape(stream):
        stream.set_display_rotation(90 * turns, hflip=mirrored)

    shown = np.rot90(IMAGE, turns)
    shown = shown[:, ::-1] if mirrored else shown
    path = write(tmp_path / "turned.mov", [IMAGE] * 3, shape=shape)
    image = read(path)
    assert image.shape == shown.shape
    assert np.abs(image.astype(int) - shown).mean() < 6
    info = video_file.probe(path)
    assert (info.height, info.width) == shown.shape[:2]


def test_an_angle_between_quarter_turns_counts_as_the_nearest(tmp_path):
    path = write(
        tmp_path / "skew.mov", [IMAGE], shape=lambda stream: stream.set_display_rotation(100)
    )
    assert np.abs(read(path).astype(int) - np.rot90(IMAGE)).mean() < 6


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(4, 3), (32, 64)), (Fraction(1, 2), (32, 24)), (Fraction(100, 1), (32, 48))],
)
@pytest.mark.parametrize("name", ["wide.mp4", "wide.mkv", "wide.avi"])
def test_pixels_come_out_square(tmp_path, name, aspect, size):
    """But for an aspect that no camera has."""

    def shape(stream):
        stream.codec_context.sample_aspect_ratio = aspect

    path = write(tmp_path / name, [IMAGE] * 3, shape=shape)
    info = video_file.probe(path)
    assert (info.height, info.width) == size
    image = read(path)
    assert image.shape == (*size, 3)
    # The dim edge keeps its part of the image.
    dim = (image[20:].mean(axis=(0, 2)) < 30).mean()
    assert dim == pytest.approx(8 / 48, abs=0.05)
    assert min(read(path, short_side=16).shape[:2]) == 16


def test_turned_pixels_that_are_not_square(tmp_path):
    """The aspect is that of the stored pixels, so it stretches what the turn makes the height."""

    def shape(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        stream.set_display_rotation(90)

    path = write(tmp_path / "both.mov", [IMAGE] * 3, shape=shape)
    assert read(path).shape == (96, 32, 3)


@pytest.mark.parametrize("size", [(240, 320), (130, 250), (242, 320)])
def test_a_much_larger_image_becomes_its_mean_over_each_pixel(tmp_path, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    path = write(tmp_path / "large.mp4", [cv2.GaussianBlur(image, (9, 9), 3)])
    found = read(path, short_side=30)
    wanted = cv2.resize(read(path), found.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert found.shape[:2] == (30, round(size[1] * 30 / size[0]))
    assert np.abs(found.astype(int) - wanted).max() <= 2


def test_no_frame_outlives_its_image(tmp_path):
    """But the first, which said how all are turned, and what the decoder holds."""
    path = write(
        tmp_path / "turned.mov",
        [IMAGE] * 40,
        shape=lambda stream: stream.set_display_rotation(90),
    )
    gc.collect()
    gc.disable()
    try:
        for shown in video_file.decoded_at(path, np.arange(40) / 10, None):
            shown()
        alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert alive <= 5
