"""Twelve short clips and the times of what happens in them, as somebody who wants to try their own
videos would have them:

    python -m lofi_jax.data.world.twelve_clips --output=FOLDER

writes FOLDER/videos/*.mp4 and FOLDER/annotations.json. A figure stands, waves and jumps. The times
are written by hand, below.
"""

import os
import pathlib
from collections.abc import Iterator

import av
import cv2
import numpy as np
from absl import flags
from jaxtyping import UInt8

from lofi_jax import errors
from lofi_jax.errors import UserError
from lofi_jax.files import aside, write_json

FPS = 12
SECONDS = 12.0
_HEIGHT, _WIDTH = 120, 160
_RAISE = 0.3  # seconds in which a movement begins and ends

Action = tuple[float, float, str]  # start and end in seconds, label

# By file; `_TEST` are for testing.
CLIPS: dict[str, tuple[Action, ...]] = {
    "garden_1": ((2.0, 4.5, "wave"), (7.0, 9.5, "jump")),
    "garden_2": ((1.0, 3.0, "jump"), (5.0, 8.5, "wave")),
    "garden_3": ((3.5, 6.0, "wave"),),
    "kitchen_1": ((1.5, 5.0, "jump"), (8.0, 11.0, "jump")),
    "kitchen_2": ((4.0, 7.5, "jump"),),
    "kitchen_3": ((0.5, 3.0, "wave"), (4.5, 6.5, "jump"), (8.5, 11.0, "wave")),
    "street_1": ((2.5, 5.0, "wave"), (6.0, 8.0, "wave")),
    "street_2": ((1.0, 2.5, "jump"), (4.0, 6.5, "wave"), (9.0, 11.0, "jump")),
    "street_3": ((3.0, 5.5, "jump"), (7.0, 10.0, "wave")),
    "garden_4": ((1.5, 4.0, "wave"), (6.5, 9.0, "jump")),
    "kitchen_4": ((3.0, 6.0, "jump"), (8.0, 10.5, "wave")),
    "street_4": ((2.0, 4.0, "jump"), (5.5, 8.0, "wave")),
}
_TEST = ("garden_4", "kitchen_4", "street_4")


def make(folder: str | os.PathLike) -> None:
    """Writes the clips and their annotations, which leave the durations out.

    Raises:
        UserError: the folder cannot be written to.
    """
    folder = pathlib.Path(folder)
    database = {}
    try:
        (folder / "videos").mkdir(parents=True, exist_ok=True)
        for number, (name, actions) in enumerate(CLIPS.items()):
            _write(folder / "videos" / f"{name}.mp4", film(number, actions))
            database[name] = {
                "subset": "testing" if name in _TEST else "training",
                "annotations": [
                    {"segment": [start, end], "label": label} for start, end, label in actions
                ],
            }
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where}: cannot be written ({error.strerror})") from error
    write_json(folder / "annotations.json", {"version": "by hand", "database": database})


def film(number: int, actions: tuple[Action, ...]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames of a clip, RGB; its number decides the place, the colours and the noise."""
    rng = np.random.default_rng(number)
    background = cv2.resize(rng.uniform(110, 190, (4, 5, 3)), (_WIDTH, _HEIGHT))
    colour = tuple(map(float, rng.uniform(0, 60, 3)))
    x, size = rng.uniform(50, 110), rng.uniform(0.8, 1.1)
    for time in np.arange(0, SECONDS, 1 / FPS):
        image = background.copy()
        _draw(image, x + 3 * np.sin(0.7 * time + number), size, time, actions, colour)
        image += rng.integers(-5, 6, image.shape, np.int8)
        yield np.clip(image, 0, 255).astype(np.uint8)


def _draw(
    image: np.ndarray,
    x: float,
    size: float,
    time: float,
    actions: tuple[Action, ...],
    colour: tuple[float, ...],
) -> None:
    """Draws the figure as it is at a time."""
    waves, jumps = (_strength(time, actions, label) for label in ("wave", "jump"))
    hip = np.array([x, 78.0 - 22 * jumps * abs(np.sin(np.pi * 1.5 * time))])
    neck = hip - [0, 28 * size]
    sway = 0.25 + 0.1 * np.sin(1.3 * time)
    left = sway + 1.1 * jumps
    right = sway + 1.1 * jumps + waves * (1.7 + 0.7 * np.sin(2 * np.pi * 1.5 * time))
    limbs = [(hip, neck)]
    limbs += [(neck, neck + 26 * size * _below(angle)) for angle in (-left, right)]
    limbs += [(hip, hip + 28 * size * _below(angle)) for angle in (-0.3, 0.3)]
    for begin, end in limbs:
        cv2.line(image, _pixel(begin), _pixel(end), colour, 5, cv2.LINE_AA)
    cv2.circle(image, _pixel(neck - [0, 9 * size]), round(8 * size), colour, -1, cv2.LINE_AA)


def _strength(time: float, actions: tuple[Action, ...], label: str) -> float:
    """How far the figure is in a movement, from 0 to 1."""
    inside = (min(time - start, end - time) for start, end, name in actions if name == label)
    return min(max(0.0, *inside, 0.0) / _RAISE, 1.0)


def _below(angle: float) -> np.ndarray:
    """The direction at an angle from straight down."""
    return np.array([np.sin(angle), np.cos(angle)])


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return round(point[0]), round(point[1])


def _write(path: pathlib.Path, frames: Iterator[np.ndarray]) -> None:
    with aside(path, lasting=False) as part, av.open(str(part), "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "superfast"})
        stream.height, stream.width, stream.pix_fmt = _HEIGHT, _WIDTH, "yuv420p"
        stream.thread_count = 1  # so that the bytes do not depend on the number of cores
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _made(folder: str) -> str:
    make(folder)
    return f"{len(CLIPS)} clips of {SECONDS:g} s -> {folder}"


if __name__ == "__main__":
    _OUTPUT = flags.DEFINE_string("output", None, "Folder that gets the clips.", required=True)
    errors.run(lambda: print(_made(_OUTPUT.value)))
