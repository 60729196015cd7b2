"""Small videos with numbered frames, annotations of them, and what lies in a folder made from
both.
"""

import hashlib
import json
import pathlib
from fractions import Fraction

import av
import numpy as np


def write_video(path: pathlib.Path, frames: int, height: int = 32, width: int = 48) -> None:
    """10 fps; frame i is grey of the value 4 i, at most 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for place in range(frames):
            image = np.full((height, width, 3), min(4 * place, 255), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def annotated(subset, *segments, duration=None):
    entry = {"subset": subset, "annotations": []}
    if duration:
        entry["duration"] = duration
    for start, end, label in segments:
        entry["annotations"].append({"segment": [start, end], "label": label})
    return entry


def save_annotations(path: pathlib.Path, database: dict) -> pathlib.Path:
    path.write_text(json.dumps({"version": "test", "database": database}))
    return path


def contents(folder: pathlib.Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
