"""Clips as the Kinetics copies in use have them: H.264, 340 x 256, 30 frames a second, 10 s, about
1 MB each.
"""

import itertools
import json
import pathlib
from collections.abc import Iterator

import av
import cv2
import numpy as np

SIZE = (340, 256)
FRAMES = 300
# Beside the checkout, where the tests find them too.
_REAL = pathlib.Path(__file__).parents[3] / "shared" / "data" / "videos"
_NAMES = ("arm_wrestling.mp4", "bikes.mp4", "flipping_a_pancake.mkv", "test_340x256.mp4")


def make(folder: pathlib.Path, count: int) -> str:
    """Writes clip0.mp4 and so on, and annotations.json with one action in each.

    Returns:
        What the clips show.
    """
    real = [_REAL / name for name in _NAMES if (_REAL / name).exists()]
    (folder / "videos").mkdir()
    database = {}
    for i in range(count):
        images = _decoded(real[i % len(real)]) if real else _rendered(i)
        _encode(folder / "videos" / f"clip{i}.mp4", itertools.islice(images, FRAMES))
        annotation = {"segment": [2.0, 5.0], "label": "act"}
        database[f"clip{i}"] = {"subset": "training", "annotations": [annotation]}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    return f"{len(real)} real videos" if real else "rendered noise"


def _decoded(path: pathlib.Path) -> Iterator[np.ndarray]:
    while True:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")


def _rendered(seed: int) -> Iterator[np.ndarray]:
    """Blobs of all sizes that drift."""
    rng = np.random.default_rng(seed)
    shape = (SIZE[1] * 2, SIZE[0] * 2, 3)
    field = sum(
        cv2.resize(rng.normal(0, 20, (n, n, 3)), shape[1::-1], interpolation=cv2.INTER_CUBIC)
        for n in (4, 16, 64, 256)
    )
    image = (128 + field).clip(0, 255).astype(np.uint8)
    for i in range(FRAMES):
        yield image[i // 2 : i // 2 + SIZE[1], i : i + SIZE[0]]


def _encode(path: pathlib.Path, images: Iterator[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "20"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for image in images:
            small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(stream.encode(None))
