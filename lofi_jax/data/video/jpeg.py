"""Decodes JPEGs at the size of a fidelity, with no more work than that size needs."""

import dataclasses
from collections.abc import Iterable

import cv2
import numpy as np

# libjpeg can leave out frequencies and decode straight to a half, a quarter or an eighth of the
# size. OpenCV has no names for that in the order of RGB, which takes no time where turning BGR
# around afterwards does.
_REDUCTIONS = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    1: cv2.IMREAD_COLOR_RGB,
}


@dataclasses.dataclass(frozen=True)
class Crop:
    """A rectangle of the image, as fractions of its height and width, mirrored or not."""

    top: float
    left: float
    height: float
    width: float
    flip: bool = False


def centre_crop(height: int, width: int, aspect: float) -> Crop:
    """The largest centred crop of the given aspect (width / height) in an image of height x width
    pixels.
    """
    h = min(1.0, width / (height * aspect))
    w = min(1.0, height * aspect / width)
    return Crop((1 - h) / 2, (1 - w) / 2, h, w)


def random_crop(
    height: int,
    width: int,
    aspect: float,
    area: tuple[float, float],
    flip: bool,
    rng: np.random.Generator,
) -> Crop:
    """A random crop of `area` (lowest, highest part) of the image, its aspect up to 4/3 off;
    mirrored half the time.

    The usual augmentation of Inception and ResNet training; one crop serves all frames of a video.
    """
    share = rng.uniform(*area)
    aspect = aspect * np.exp(rng.uniform(-np.log(4 / 3), np.log(4 / 3)))
    pixels = share * height * width
    h = min(1.0, np.sqrt(pixels / aspect) / height)
    w = min(1.0, np.sqrt(pixels * aspect) / width)
    top, left = rng.uniform(0, 1 - h), rng.uniform(0, 1 - w)
    return Crop(top, left, h, w, bool(flip and rng.random() < 0.5))


class Jpegs(list[bytes]):
    """A video's frames as JPEGs in memory; see `record.Frames`."""

    def read(self, numbers: np.ndarray, size: tuple[int, int], crop: Crop, out: np.ndarray) -> None:
        """Decodes, crops and resizes some frames; see `decode`."""
        decode([self[number] for number in numbers.tolist()], size, crop, out)


def decode(jpegs: Iterable[bytes], size: tuple[int, int], crop: Crop, clip: np.ndarray) -> None:
    """Decodes, crops and resizes frames.

    Args:
        jpegs: the stored images.
        size: their height and width in pixels.
        crop: the part that is wanted.
        clip: gets the frames, (frames, height, width, 3) uint8 RGB.
    """
    flag = _REDUCTIONS[reduction(size, crop, *clip.shape[1:3])]
    for jpeg, out in zip(jpegs, clip, strict=True):
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flag)
        if image is None:
            raise ValueError("a stored frame is not a readable JPEG: prepare the dataset again")
        fit(image, crop, out)


def reduction(size: tuple[int, int], crop: Crop, height: int, width: int) -> int:
    """The largest of 1, 2, 4 and 8 that an image of `size` can be divided by, its crop still height
    x width pixels.
    """
    enough = min(size[0] * crop.height / height, size[1] * crop.width / width)
    return next(factor for factor in _REDUCTIONS if factor <= max(enough, 1.0))


def fit(image: np.ndarray, crop: Crop, out: np.ndarray) -> np.ndarray:
    """Fills `out` (height, width, 3) with the crop of an image (H, W, 3), mirrored where the crop
    is; returns it.
    """
    rows, columns = image.shape[:2]
    top, left = round(crop.top * rows), round(crop.left * columns)
    bottom = max(round((crop.top + crop.height) * rows), top + 1)
    right = max(round((crop.left + crop.width) * columns), left + 1)
    image = image[top:bottom, left:right]
    height, width = out.shape[:2]
    if image.shape[:2] == (height, width):
        np.copyto(out, image)
    else:
        # Below a factor of 2 linear interpolation leaves no pixel out, and takes a quarter of the
        # time.
        halves = image.shape[0] >= 2 * height or image.shape[1] >= 2 * width
        method = cv2.INTER_AREA if halves else cv2.INTER_LINEAR
        cv2.resize(image, (width, height), dst=out, interpolation=method)
    if crop.flip:
        cv2.flip(out, 1, dst=out)
    return out
