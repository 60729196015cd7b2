"""Colour jitter and RandAugment: worked by hand, the same for all frames, the same for a seed."""

import cv2
import numpy as np
import pytest

from lofi_jax.data.loader import clips
from lofi_jax.data.loader import image_changes as changes
from lofi_jax.data.loader.image_changes import ImageChanges
from lofi_jax.data.record import Record
from lofi_jax.data.video.jpeg import Jpegs
from lofi_jax.fidelity import Fidelity

RANDOM = np.random.default_rng(0).integers(0, 256, (3, 12, 14, 3), np.uint8)
STILL = cv2.imencode(".jpg", np.repeat(np.repeat(RANDOM[0], 4, axis=0), 4, axis=1))[1].tobytes()
RECORD = Record(
    video_id="still",
    frames=Jpegs([STILL] * 8),
    height=48,
    width=56,
    duration=4.0,
    segments=np.array([[1.0, 2.0]]),
    labels=np.array([0]),
)


def plain(*pixels):
    """One image of one row."""
    return np.array(pixels, np.uint8)[None, None]


def test_factors_by_hand():
    image = plain((100, 200, 0), (100, 200, 0))
    np.testing.assert_array_equal(changes.brightness(image, 1.5)[0, 0, 0], [150, 255, 0])
    grey = 0.299 * 100 + 0.587 * 200  # 147.3
    half = [round(grey + (value - grey) / 2) for value in (100, 200, 0)]
    np.testing.assert_array_equal(changes.saturation(image, 0.5)[0, 0, 0], half)
    np.testing.assert_array_equal(changes.contrast(image, 0.5)[0, 0, 0], half)
    two = plain((0, 0, 0), (200, 200, 200))
    np.testing.assert_array_equal(changes.contrast(two, 0.5)[0, 0, :, 0], [50, 150])


def test_half_a_turn_of_the_hue_makes_red_cyan():
    red = np.full((2, 3, 3, 3), (255, 0, 0), np.uint8)
    assert changes.hue(red, 0.5)[1, 2, 2].tolist() == [0, 255, 255]
    assert changes.hue(red, -0.5)[1, 2, 2].tolist() == [0, 255, 255]
    assert changes.hue(red, 1 / 3)[0, 0, 0].tolist() == [0, 255, 0]


def test_bits_thresholds_and_stretching_by_hand():
    row = plain((3, 100, 255), (3, 150, 0))
    assert changes.posterize(row, 1)[0, 0].tolist() == [[0, 0, 128], [0, 128, 0]]
    assert changes.solarize(row, 128)[0, 0].tolist() == [[3, 100, 0], [3, 105, 0]]
    assert changes.autocontrast(row)[0, 0].tolist() == [[3, 0, 255], [3, 255, 0]]
    ramp = plain((10, 5, 0), (10, 5, 0), (20, 5, 0), (30, 5, 0))
    # Of the two values that lie above the lowest, one is 20 and all are at most 30.
    assert changes.equalize(ramp)[0, 0, :, 0].tolist() == [0, 0, 128, 255]
    assert changes.equalize(ramp)[0, 0, :, 1].tolist() == [5] * 4


def test_moves_by_hand():
    images = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(1, 4, 4, 3)
    right = changes.translate(images, 0.25, 0)
    np.testing.assert_array_equal(right[0, :, 1:], images[0, :, :-1])
    assert (right[0, :, 0] == 128).all()
    turned = changes.affine(images, np.array([[0.0, -1.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(turned[0], np.rot90(images[0], -1))


@pytest.mark.parametrize("number", range(len(changes._OPERATIONS)))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_operations_change_all_frames_alike(number, sign):
    operation = changes._OPERATIONS[number](0.8, sign)
    twice = np.concatenate([RANDOM, RANDOM])
    out = operation(twice)
    assert out.dtype == np.uint8 and out.shape == twice.shape
    np.testing.assert_array_equal(out[:3], out[3:])
    # 12 of the 14 leave an image as it is at no strength.
    if changes._OPERATIONS[number](0.0, sign) not in (changes.autocontrast, changes.equalize):
        still = changes._OPERATIONS[number](0.0, sign)(RANDOM)
        assert np.abs(still.astype(int) - RANDOM).max() <= 1


def test_nothing_is_drawn_where_all_is_off():
    rng = np.random.default_rng(3)
    assert ImageChanges().draw(rng) == ()
    assert rng.random() == np.random.default_rng(3).random()


ALL = clips.Augmentation((0.5, 1.0), True, ImageChanges(0.5, 0.5, 0.5, 0.2, 2, 9.0))


def read(index):
    video = clips.WholeVideo(lambda index: Fidelity(4, 24, 24), 2, 1, ALL, seed=3)
    return video.map_with_index(index, RECORD)["frames"].read()


def test_a_seed_and_an_index_give_the_same_images_and_others_do_not():
    np.testing.assert_array_equal(read(5), read(5))
    assert len({read(i).tobytes() for i in range(6)}) == 6


def test_the_frames_of_a_video_are_changed_alike():
    for index in range(8):
        frames = read(index)
        assert frames.shape == (4, 2, 24, 24, 3) and (frames == frames[:1, :1]).all()
