"""Random changes of a video's images for training: colour jitter and RandAugment.

The changes are drawn once for a video, and all its frames are changed alike. Images are uint8 RGB.
"""

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np

Images = np.ndarray  # (N, height, width, 3) uint8
Change = Callable[[Images], Images]

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_VALUES = np.arange(256.0)
_HALF_TURN = 180  # OpenCV's hue of a uint8 is in steps of two degrees
_FILL = 128  # where a geometric change shows nothing of the image


@dataclasses.dataclass(frozen=True)
class ImageChanges:
    """What may be changed, and how far.

    Attributes:
        brightness, contrast, saturation: each is multiplied by a factor in 1 - x to 1 + x.
        hue: turned by up to x turns either way.
        operations: RandAugment's N, how many of its operations a video gets, in a random order,
            the same one perhaps twice (Cubuk et al., arXiv 1909.13719).
        magnitude: RandAugment's M, in 0..10.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    operations: int = 0
    magnitude: float = 7.0

    def draw(self, rng: np.random.Generator) -> tuple[Change, ...]:
        """The changes of one video, in order; none, and nothing drawn, where all are off."""
        drawn: list[Change] = []
        for factor, change in (
            (self.brightness, brightness),
            (self.contrast, contrast),
            (self.saturation, saturation),
        ):
            if factor:
                drawn.append(_with(change, rng.uniform(1 - factor, 1 + factor)))
        if self.hue:
            drawn.append(_with(hue, rng.uniform(-self.hue, self.hue)))
        for _ in range(self.operations):
            number = rng.integers(len(_OPERATIONS))
            drawn.append(_OPERATIONS[number](self.magnitude / 10, rng.choice([-1.0, 1.0])))
        return tuple(drawn)


def apply(changes: Sequence[Change], images: Images) -> None:
    """Changes images in place, one after the other."""
    for change in changes:
        images[:] = change(images)


def brightness(images: Images, factor: float) -> Images:
    """Every value times a factor; 0 gives black."""
    return _by_table(images, factor * _VALUES)


def contrast(images: Images, factor: float) -> Images:
    """The distance to the video's mean grey times a factor; 0 gives that grey."""
    grey = images.mean(axis=(0, 1, 2)) @ _GREY
    return _by_table(images, grey + factor * (_VALUES - grey))


def saturation(images: Images, factor: float) -> Images:
    """The distance of every pixel to its own grey times a factor; 0 gives grey images."""

    def changed(image):
        return _blend(image, (image @ _GREY)[..., None], factor)

    return _each(changed, images)


def hue(images: Images, turns: float) -> Images:
    """Every colour's hue turned; half a turn changes red to cyan."""

    def turned(image):
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        steps = round(turns * _HALF_TURN)
        hsv[..., 0] = (hsv[..., 0].astype(np.int32) + steps) % _HALF_TURN
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)

    return _each(turned, images)


def sharpness(images: Images, factor: float) -> Images:
    """The distance to a smoothed image times a factor; 0 gives the smoothed one."""
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13

    def changed(image):
        return _blend(image, cv2.filter2D(image, -1, kernel), factor)

    return _each(changed, images)


def posterize(images: Images, bits: int) -> Images:
    """Only the highest bits of every value."""
    return images & np.uint8(256 - 2 ** (8 - bits))


def solarize(images: Images, threshold: float) -> Images:
    """Values from the threshold on, inverted."""
    return _by_table(images, np.where(threshold <= _VALUES, 255 - _VALUES, _VALUES))


def autocontrast(images: Images) -> Images:
    """Every channel stretched to 0..255 over the whole video."""

    def stretched(values):
        low, high = float(values.min()), float(values.max())
        return (_VALUES - low) * 255 / (high - low) if high > low else _VALUES

    return _by_channel(images, stretched)


def equalize(images: Images) -> Images:
    """Every channel's values spread evenly over 0..255, over the whole video."""

    def spread(values):
        below = np.cumsum(np.bincount(values.ravel(), minlength=256))
        first, all_ = below[values.min()], below[-1]
        return (below - first) * 255 / (all_ - first) if all_ > first else _VALUES

    return _by_channel(images, spread)


def affine(images: Images, matrix: np.ndarray) -> Images:
    """The images moved by a matrix (2, 2) about their centre; grey where nothing is seen."""
    return _moved(images, matrix, np.zeros(2))


def translate(images: Images, x: float, y: float) -> Images:
    """The images moved right and down, in parts of their width and height."""
    height, width = images.shape[1:3]
    return _moved(images, np.eye(2), np.array([x * width, y * height]))


def _moved(images: Images, matrix: np.ndarray, shift: np.ndarray) -> Images:
    height, width = images.shape[1:3]
    centre = np.array([width - 1, height - 1]) / 2
    whole = np.column_stack([matrix, centre - matrix @ centre + shift])

    def move(image):
        return cv2.warpAffine(image, whole, (width, height), borderValue=(_FILL,) * 3)

    return _each(move, images)


def _rotation(degrees: float) -> np.ndarray:
    turn = np.deg2rad(degrees)
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])


# RandAugment's operations, each of a strength in 0..1 and a sign, with the ranges of its authors'
# code: a rotation by up to 30 degrees, shears by 0.3, moves by 0.45 of the image, factors of 0.1 to
# 1.9, and 4 bits less.
_OPERATIONS: tuple[Callable[[float, float], Change], ...] = (
    lambda strength, sign: lambda images: images,
    lambda strength, sign: autocontrast,
    lambda strength, sign: equalize,
    lambda strength, sign: lambda images: affine(images, _rotation(sign * 30 * strength)),
    lambda strength, sign: (
        lambda images: affine(images, np.array([[1, sign * 0.3 * strength], [0, 1]]))
    ),
    lambda strength, sign: (
        lambda images: affine(images, np.array([[1, 0], [sign * 0.3 * strength, 1]]))
    ),
    lambda strength, sign: lambda images: translate(images, sign * 0.45 * strength, 0),
    lambda strength, sign: lambda images: translate(images, 0, sign * 0.45 * strength),
    lambda strength, sign: lambda images: brightness(images, 1 + sign * 0.9 * strength),
    lambda strength, sign: lambda images: contrast(images, 1 + sign * 0.9 * strength),
    lambda strength, sign: lambda images: saturation(images, 1 + sign * 0.9 * strength),
    lambda strength, sign: lambda images: sharpness(images, 1 + sign * 0.9 * strength),
    lambda strength, sign: lambda images: posterize(images, 8 - round(4 * strength)),
    lambda strength, sign: lambda images: solarize(images, 256 * (1 - strength)),
)


def _with(change: Callable[[Images, float], Images], number: float) -> Change:
    return lambda images: change(images, number)


def _blend(image: np.ndarray, other: np.ndarray, factor: float) -> np.ndarray:
    """An image's distance to another times a factor."""
    other = other.astype(np.float32)
    return _to_uint8(other + np.float32(factor) * (image - other))


def _by_table(images: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Every value replaced by the table's."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return cv2.LUT(rows, _to_uint8(table)).reshape(images.shape)


def _by_channel(images: Images, table_of: Callable[[np.ndarray], np.ndarray]) -> Images:
    """Every channel's values replaced by those of its own table."""
    channels = (images[..., i] for i in range(3))
    return np.stack([_by_table(values, table_of(values)) for values in channels], axis=-1)


def _to_uint8(values: np.ndarray) -> Images:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _each(function: Callable[[np.ndarray], np.ndarray], images: Images) -> Images:
    return np.stack([function(image) for image in images])
