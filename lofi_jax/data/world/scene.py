"""Films one object before a background: the drawing behind the built-in world.

Lengths are in frame widths, angles in radians, colours RGB in 0..1; a pose is (x, y, angle, log
scale).
"""

from typing import NamedTuple

import cv2
import numpy as np

from lofi_jax.data.world.script import wander

SIZE = 48  # pixels: three H.264 macroblocks a side
_BORDER = 8  # pixels of background beyond the frame, for the camera to shake into


def _triangle(u, v):
    return np.maximum(-u, np.abs(v) * 0.866 + u * 0.5) - 0.6


# Signed distance to the outline of an object of radius about 1, negative inside.
SHAPES = {
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) - 0.8,
    "triangle": _triangle,
    "cross": lambda u, v: np.maximum(
        np.maximum(np.abs(u), np.abs(v)) - 1.0, np.minimum(np.abs(u), np.abs(v)) - 0.33
    ),
    "bar": lambda u, v: np.maximum(np.abs(u) - 1.0, np.abs(v) - 0.36),
    "disc": lambda u, v: np.sqrt(u * u + v * v) - 0.9,
    "ring": lambda u, v: np.abs(np.sqrt(u * u + v * v) - 0.72) - 0.26,
}


def _spot(u, v):
    # Every object has a spot off its centre; without it a turning disc would look still.
    return np.sqrt(np.square(u - 0.62) + v * v) - 0.26


def cover(shape: str, radius: float, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pixel the object and its spot cover.

    Args:
        shape: a name in `SHAPES`.
        radius: the object's radius at log scale 0, in frame widths.
        poses: (F, 4) float.

    Returns:
        Two float32 arrays (F, SIZE, SIZE) in 0..1: the object (its spot included), and its spot.
    """
    x, y, angle, log_scale = poses.T.astype(np.float32)[:, :, None, None]
    centres = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
    right, down = centres[None, None, :] - x, centres[None, :, None] - y
    scale = np.float32(radius) * np.exp(log_scale)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    u, v = cos * right + sin * down, cos * down - sin * right
    pixels = SIZE * scale
    body = np.clip(0.5 - SHAPES[shape](u, v) * pixels, 0, 1)
    return body, body * np.clip(0.5 - _spot(u, v) * pixels, 0, 1)


class _Setting(NamedTuple):
    """Where videos are filmed.

    Attributes:
        grey: lowest and highest mean brightness of a background.
        tint: how far its colour is from grey.
        grids: cells a side and strength of each layer of soft clutter; a grid of 2 is one gradient.
        lines: lowest and highest number of hard-edged lines.
    """

    grey: tuple[float, float]
    tint: float
    grids: tuple[tuple[int, float], ...]
    lines: tuple[int, int]


_SOURCE = _Setting((0.25, 0.75), 0.15, ((2, 0.06), (4, 0.1), (8, 0.08)), (0, 3))
_TARGET = _Setting((0.2, 0.8), 0.25, ((2, 0.06), (4, 0.12), (8, 0.1), (16, 0.06)), (3, 6))


def _backdrop(rng: np.random.Generator, setting: _Setting) -> np.ndarray:
    side = SIZE + 2 * _BORDER
    base = rng.uniform(*setting.grey) + setting.tint * rng.uniform(-1, 1, 3)
    canvas = np.tile(base.astype(np.float32), (side, side, 1))
    for cells, strength in setting.grids:
        grid = rng.uniform(-strength, strength, (cells, cells, 3)).astype(np.float32)
        canvas += cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(*setting.lines, endpoint=True))):
        start, end = rng.integers(0, side, (2, 2)).tolist()
        colour = np.clip(base + rng.uniform(-0.25, 0.25, 3), 0, 1).tolist()
        cv2.line(canvas, start, end, colour, int(rng.integers(1, 5)), cv2.LINE_AA)
    return canvas


def _paint(rng: np.random.Generator, backdrop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = backdrop.mean((0, 1))
    body = rng.uniform(0, 1, 3)
    while np.linalg.norm(body - mean) < 0.6:
        body = rng.uniform(0, 1, 3)
    spot = body * 0.25 if body.mean() > 0.5 else 1 - (1 - body) * 0.25
    return body.astype(np.float32), spot.astype(np.float32)


def film(
    rng: np.random.Generator, shape: str, radius: float, poses: np.ndarray, busy: bool
) -> np.ndarray:
    """Films the object along its poses.

    Args:
        rng: draws colours, background and all that the camera adds.
        shape: a name in `SHAPES`.
        radius: the object's radius at log scale 0, in frame widths.
        poses: (F, 4) float, one a frame.
        busy: a more cluttered background, a shaking camera, flicker and strong noise (the target's
            look) instead of a plainer background and a good camera (the source's).

    Returns:
        (F, SIZE, SIZE, 3) uint8 RGB.
    """
    count = len(poses)
    backdrop = _backdrop(rng, _TARGET if busy else _SOURCE)
    body_colour, spot_colour = _paint(rng, backdrop)
    # What the camera adds is stationary over the whole video, for it knows of no action.
    shake = 0.7 / SIZE * wander(rng, count, 2, 2.0) if busy else np.zeros((count, 2))
    gain = 1 + (0.04 * wander(rng, count, 1, 1.0) if busy else np.zeros((count, 1)))
    body, spot = cover(shape, radius, poses + np.pad(shake, ((0, 0), (0, 2))))

    frames = np.empty((count, 3, SIZE, SIZE), np.float32)
    planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(backdrop, 2, 0)]
    for frame, (dx, dy) in zip(frames, shake * SIZE - _BORDER, strict=True):
        move = np.array([[1, 0, dx], [0, 1, dy]])
        for view, plane in zip(frame, planes, strict=True):
            cv2.warpAffine(plane, move, (SIZE, SIZE), dst=view, borderMode=cv2.BORDER_REPLICATE)
    for mask, colour in ((body, body_colour), (spot, spot_colour)):
        frames += mask[:, None] * (colour[:, None, None] - frames)
    frames *= gain.astype(np.float32)[:, :, None, None]
    grain = rng.standard_normal((count, 1, SIZE, SIZE), np.float32)
    frames += np.float32(0.03 if busy else 0.01) * grain
    np.clip(frames, 0, 1, out=frames)
    frames *= 255
    return np.ascontiguousarray(np.rint(frames, out=frames).astype(np.uint8).transpose(0, 2, 3, 1))
