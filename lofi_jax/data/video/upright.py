"""Turns a decoded frame into the image that a player shows: rotated, mirrored, square pixels."""

from fractions import Fraction
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

# Pixels further from square than this are a broken header's: the widest in use are about 2:1.
_WIDEST_PIXEL = 4


class Shape(NamedTuple):
    """How the frames of a video are shown.

    Attributes:
        height, width: of the upright image in pixels.
        swapped: rows and columns are, before the flips.
        flipped_rows, flipped_columns: these are turned round.
    """

    height: int
    width: int
    swapped: bool
    flipped_rows: bool
    flipped_columns: bool


def shape(frame: av.VideoFrame, pixel_aspect: Fraction | None, short_side: int | None) -> Shape:
    """The upright image to make of a video's frames.

    Ask once a video: PyAV keeps a frame that was asked for its matrix until Python next looks for
    cycles, and a frame of 3840 x 2160 takes 12 MB.

    Args:
        frame: one of them, as decoded.
        pixel_aspect: width over height of a stored pixel; None or 0: not said, so square.
        short_side: pixels that the shorter side is resized to, the aspect kept; None: the height
            stays as stored.
    """
    aspect = float(pixel_aspect or 1)
    if not 1 / _WIDEST_PIXEL <= aspect <= _WIDEST_PIXEL:
        aspect = 1.0
    height, width = frame.height, frame.width * aspect
    swapped, *flipped = _display_matrix(frame)
    if swapped:
        height, width = width, height
    scale = 1.0 if short_side is None else short_side / min(height, width)
    return Shape(max(1, round(height * scale)), max(1, round(width * scale)), swapped, *flipped)


def render(frame: av.VideoFrame, shape: Shape, converter: VideoReformatter) -> np.ndarray:
    """A decoded frame as an upright image (height, width, 3) uint8 RGB of the given shape."""
    image = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    if shape.swapped:
        image = cv2.transpose(image)
    if shape.flipped_rows or shape.flipped_columns:
        code = -1 if shape.flipped_rows and shape.flipped_columns else int(shape.flipped_columns)
        image = cv2.flip(image, code)
    size = shape.height, shape.width
    image = _halved(image, size)
    if image.shape[:2] == size:
        return image
    method = cv2.INTER_AREA if size[0] < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(image, size[::-1], interpolation=method)


def _halved(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image halved while it stays at least twice as large as it is to be.

    The mean of four pixels is quick; that of any rectangle, at once, takes more than twice as long.
    """
    rows, columns = image.shape[:2]
    while min(rows // size[0], columns // size[1]) >= 4 and rows % 2 == columns % 2 == 0:
        rows, columns = rows // 2, columns // 2
        image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    return image


def _display_matrix(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Whether to swap rows and columns, and then to flip the rows and the columns.

    The matrix ((a, b, u), (c, d, v), ...) shows the stored pixel (x, y) at (a x + c y, b x + d y);
    of the angles between quarter turns the nearest is taken.
    """
    known = cast(Any, frame.side_data)  # whose stub has no keys of this type
    matrix = known.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(matrix, "=i4")[:5].tolist()
    if abs(b) > abs(a):
        return True, b < 0, c < 0
    return False, d < 0, a < 0
