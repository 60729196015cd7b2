"""Memory and time of detection in a long video, beside a bare decoding of it and the time that its
encoders take.

python tests/benchmarks/bench_predict.py --workdir=runs/synthetic --video=SHORT.mp4 --minutes=20

The video is repeated until it is as long. What JAX compiles is compiled before, on the video itself
where that is long enough to be cut, so that all of the time is the video's.
"""

import contextlib
import pathlib
import resource
import sys
import tempfile
import time

import av
from absl import app, flags

from lofi_jax.data.video import video_file
from lofi_jax.jobs.prediction.localizer import Localizer
from lofi_jax.stages.extract import FullFidelityEncoder

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import videos  # noqa: E402

WORKDIR = flags.DEFINE_string("workdir", None, "Of a finished run.", required=True)
VIDEO = flags.DEFINE_string("video", None, "A video file.", required=True)
MINUTES = flags.DEFINE_float("minutes", 20, "How long the repeated video is.", 0.1)


def decode(path: pathlib.Path) -> int:
    """Decodes every frame of a file, on one thread as the package does; their number."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return sum(1 for _ in container.decode(video=0))


@contextlib.contextmanager
def kept(calls: list):
    """Adds every call of an encoder to a list, as the encoder and the frames."""
    original = FullFidelityEncoder.__call__

    def call(self, frames):
        calls.append((self, frames))
        return original(self, frames)

    FullFidelityEncoder.__call__ = call
    try:
        yield
    finally:
        FullFidelityEncoder.__call__ = original


def main(argv) -> None:
    seconds = video_file.probe(VIDEO.value).duration
    with tempfile.TemporaryDirectory() as folder:
        times = round(60 * MINUTES.value / seconds) or 1
        long, short = pathlib.Path(folder, "long.mp4"), pathlib.Path(folder, "short.mp4")
        videos.join(long, [VIDEO.value] * times, seconds)
        videos.join(short, [VIDEO.value] * min(times, 4), seconds)
        begin = time.perf_counter()
        frames = decode(long)
        decoding = time.perf_counter() - begin
        localizer = Localizer.load(WORKDIR.value)
        localizer.detect(short)
        calls: list = []
        begin = time.perf_counter()
        with kept(calls):
            found = localizer.detect(long)
        whole = time.perf_counter() - begin
        begin = time.perf_counter()
        for encode, clip in calls:  # alone: it ran beside the decoding
            encode(clip)
        encoding = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    bare = decoding + encoding
    print(f"{frames} frames, {times * seconds:.0f} s, {len(found)} detections; peak {peak:.2f} GiB")
    print(
        f"decoding {decoding:.1f} s + encoders {encoding:.1f} s = {bare:.1f} s; detection"
        f" {whole:.1f} s, {whole / bare:.2f} times that"
    )


if __name__ == "__main__":
    app.run(main)
