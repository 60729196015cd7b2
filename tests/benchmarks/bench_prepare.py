"""What preparing costs in disk and time: python tests/benchmarks/bench_prepare.py
FOLDER_OF_REAL_VIDEOS

Joins the folder's videos to one of two minutes at 30 frames a second in H.264, 340 x 256 as copies
of the public datasets often are, and 1280 x 720 as on the web; prepares it; and prints disk an hour
of video and core seconds a minute of video, for some ways of sampling. Core seconds are the
process's own, so other work on the machine does not count.
"""

import itertools
import json
import pathlib
import sys
import tempfile
import time
from fractions import Fraction

import av
import cv2
import numpy as np

from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import dataset
from lofi_jax.data.video import video_file

SECONDS, FPS = 120, 30
SIZES = ((256, 340), (720, 1280))

SAMPLINGS = {
    "ActivityNet, HACS: 100 x 8, stride 8, 256 px": Sampling(),
    "the same at 128 px (R(2+1)D)": Sampling(short_side=128),
    "Kinetics: 1 snippet of 8 frames a second, stride 8, 256 px": Sampling(snippets_per_second=1.0),
    "THUMOS14: 2 snippets of 8 a second, 256 px": Sampling(stride=0, snippets_per_second=2.0),
}


def join(folder: pathlib.Path, path: pathlib.Path, height: int, width: int) -> None:
    """Writes the frames of a folder's readable videos one after the other, again and again."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number, image in enumerate(itertools.islice(frames(folder), SECONDS * FPS)):
            frame = av.VideoFrame.from_ndarray(cv2.resize(image, (width, height)), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def frames(folder: pathlib.Path):
    """Endless frames."""
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".mp4", ".mkv"))
    for path in itertools.cycle(paths):
        try:
            info = video_file.probe(path)
            yield from video_file.frames_at(path, np.arange(info.frames) / info.fps)
        except video_file.VideoError:
            continue


def measure(folder: pathlib.Path, name: str, sampling: Sampling) -> None:
    """Prepares videos/ and prints what it cost."""
    begin = time.process_time()
    builder, _ = dataset.build(
        "bench", folder / "videos", folder / "a.json", folder / "data", sampling, 1
    )
    spent = time.process_time() - begin
    size = int(builder.info.splits["test"].num_bytes)
    print(
        f"{name}: {size / SECONDS * 3600 / 1e9:.2f} GB an hour of video"
        f" ({size / 1e6:.1f} MB a video of two minutes,"
        f" {size / sampling.frames_in(SECONDS) / 1e3:.1f} kB a frame),"
        f" {spent / SECONDS * 60:.1f} core seconds a minute of video",
        flush=True,
    )


def main(folder: pathlib.Path) -> None:
    for height, width in SIZES:
        with tempfile.TemporaryDirectory() as scratch:
            there = pathlib.Path(scratch)
            (there / "videos").mkdir()
            join(folder, there / "videos" / "joined.mp4", height, width)
            database = {"joined": {"subset": "test", "duration": SECONDS, "annotations": []}}
            (there / "a.json").write_text(json.dumps({"database": database}))
            for name, sampling in SAMPLINGS.items():
                measure(there, f"from {width} x {height}, {name}", sampling)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
