"""The loader: what it decodes, and that the same seed gives the same batches."""

import dataclasses

import cv2
import numpy as np
import pytest

from lofi_jax.data.loader import clips, pretext_clips
from lofi_jax.data.record import Record
from lofi_jax.data.video import jpeg
from lofi_jax.fidelity import Fidelity, reduce

SNIPPETS, FRAMES = 8, 2
FULL = Fidelity(SNIPPETS, 16, 16)
VARIED = clips.Augmentation((0.5, 1.0), flip=True)


def a_jpeg(value, height=20, width=30):
    image = np.full((height, width, 3), value, np.uint8)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


def record(number):
    return Record(
        video_id=f"video{number}",
        frames=jpeg.Jpegs(a_jpeg(10 * i + number) for i in range(SNIPPETS * FRAMES)),
        height=20,
        width=30,
        duration=16.0,
        segments=np.array([[2.0, 6.0], [8.0, 20.0]]),
        labels=np.array([1, number % 3]),
    )


RECORDS = [record(i) for i in range(5)]


def whole(fidelity_at=lambda index: FULL, augmentation=clips.NONE):
    return clips.WholeVideo(fidelity_at, FRAMES, 4, augmentation, seed=3)


def levels(frames):
    """Each frame's grey, which says which stored frame it is."""
    return frames.mean(axis=(-3, -2, -1)).round().astype(int)


def test_full_fidelity_reads_every_frame_and_the_segments():
    example = whole().map_with_index(0, RECORDS[2])
    assert example["frames"].shape == (8, 2, 16, 16, 3)
    np.testing.assert_array_equal(levels(example["frames"].read()).ravel(), np.arange(16) * 10 + 2)
    np.testing.assert_allclose(example["segments"], [[1 / 8, 3 / 8], [1 / 2, 1], [0, 0], [0, 0]])
    np.testing.assert_array_equal(example["labels"], [1, 2, 0, 0])
    np.testing.assert_array_equal(example["valid"], [True, True, False, False])


def test_temporal_fidelity_decodes_only_its_own_snippets():
    wanted = [2 * s + f for s in (2, 6) for f in (0, 1)]
    frames = (RECORDS[0].frames[i] if i in wanted else b"not a JPEG" for i in range(16))
    broken = dataclasses.replace(RECORDS[0], frames=jpeg.Jpegs(frames))
    example = whole(lambda index: Fidelity(2, 16, 16)).map_with_index(0, broken)
    np.testing.assert_array_equal(levels(example["frames"].read()).ravel(), np.array(wanted) * 10)
    with pytest.raises(ValueError, match="not a readable JPEG"):
        whole().map_with_index(0, broken)["frames"].read()


def test_a_cycle_changes_the_shape_batch_by_batch():
    cycle = [reduce(FULL, spatial=2), reduce(FULL, temporal=4), reduce(FULL, 2, 2**0.5)]
    transformation = whole(lambda index: cycle[index // 2 % 3])
    batches = iter(clips.training_batches(RECORDS, transformation, 2, seed=0))
    shapes = [next(batches)["frames"].shape[:5] for _ in range(3)]
    assert shapes == [(2, 8, 2, 8, 8), (2, 2, 2, 16, 16), (2, 4, 2, 11, 11)]


def test_evaluation_reads_each_video_once_in_order():
    batches = list(clips.evaluation_batches(RECORDS, whole(), 2))
    assert [len(b["video_id"]) for b in batches] == [2, 2, 1]
    assert [n for b in batches for n in b["video_id"]] == [f"video{i}" for i in range(5)]


def gradient_jpeg():
    x = np.linspace(0, 255, 64, dtype=np.uint8)
    image = np.stack([np.tile(x, (64, 1)), np.tile(x[:, None], (1, 64)), np.full((64, 64), 90)], -1)
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


def decoded(crop, height, width) -> np.ndarray:
    clip = np.empty((1, height, width, 3), np.uint8)
    jpeg.decode([gradient_jpeg()], (64, 64), crop, clip)
    return clip[0]


@pytest.mark.parametrize("size", [64, 40, 32, 16, 8])
def test_decoding_small_is_decoding_in_full_and_shrinking(size):
    full = decoded(jpeg.Crop(0, 0, 1, 1), 64, 64)
    expected = cv2.resize(full, (size, size), interpolation=cv2.INTER_AREA)
    found = decoded(jpeg.Crop(0, 0, 1, 1), size, size)
    assert np.abs(found.astype(int) - expected).max() <= 6


@pytest.mark.parametrize(
    ("side", "factor"), [(64, 1), (33, 1), (32, 2), (17, 2), (16, 4), (8, 8), (1, 8)]
)
def test_a_smaller_image_is_decoded_at_a_reduced_size(side, factor):
    """The decoder is asked for the smallest size it has from which nothing needs to be enlarged."""
    assert jpeg.reduction((64, 64), jpeg.Crop(0, 0, 1, 1), side, side) == factor
    assert jpeg.reduction((128, 128), jpeg.Crop(0.2, 0.1, 0.5, 0.5), side, side) == factor


def test_crops_take_the_part_they_name():
    half = decoded(jpeg.Crop(0.5, 0.25, 0.5, 0.5), 32, 32)
    assert abs(half[..., 0].mean() - 127) < 5 and abs(half[..., 1].mean() - 191) < 5
    crop = jpeg.Crop(0, 0, 1, 1, flip=True)
    mirrored = decoded(crop, 32, 32)
    assert mirrored[0, 0, 0] > 240 and mirrored[0, -1, 0] < 15
    centre = dataclasses.astuple(jpeg.centre_crop(20, 30, 1.0))
    assert centre == pytest.approx((0, 1 / 6, 1, 2 / 3, False))


def test_random_crops_stay_inside_and_keep_the_share_asked_for():
    rng = np.random.default_rng(0)
    for _ in range(200):
        crop = jpeg.random_crop(20, 30, 1.0, (0.3, 0.5), True, rng)
        assert 0 <= crop.top <= crop.top + crop.height <= 1 + 1e-9
        assert 0 <= crop.left <= crop.left + crop.width <= 1 + 1e-9
        assert 0.25 <= crop.height * crop.width <= 0.5 + 1e-9


@pytest.mark.parametrize("task", [pretext_clips.ArrowOfTime, pretext_clips.SpeedNet])
def test_pretext_labels_tell_what_was_done_to_the_clip(task):
    draw = task(FULL, FRAMES + 1, clips.NONE, seed=0)
    seen = set()
    for index in range(80):
        example = draw.map_with_index(index, RECORDS[0])
        steps = np.diff(levels(example["frames"].read())) // 10
        expected = {pretext_clips.ArrowOfTime: (1, -1), pretext_clips.SpeedNet: (1, 2)}[task]
        assert set(steps) == {expected[example["label"]]}
        seen.add(int(example["label"]))
    assert seen == {0, 1}
