"""What a frame costs, out of H.264 and out of the prepared store, and what the loader adds to that.

    python tests/benchmarks/bench_loader.py

Frames a second and core are frames over seconds of processor time, summed over all processes, so
that other work on the machine changes them little; batches a second are by the clock. Cases take
turns over several rounds; the best round of each counts, and ratios are of those. Needs Linux;
PyTorch, where installed, for the last comparison.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import av
import clips_340x256
import cv2
import numpy as np
from absl import app

from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.loader import clips
from lofi_jax.data.prepared import dataset, records
from lofi_jax.data.video import video_file
from lofi_jax.data.video.sample_times import sample_times
from lofi_jax.fidelity import Fidelity, reduce

CLIPS, ROUNDS, BATCH = 8, 3, 4
# As densely as the paper's 100 snippets of 8 frames lie in a video of two minutes: 64 of 300
# frames.
SAMPLING = Sampling(snippets=8, frames=8, stride=8, short_side=256, quality=95)
FULL = Fidelity(SAMPLING.snippets, 224, 224)
FIDELITIES = {
    "full": FULL,
    "spatial": reduce(FULL, spatial=2),
    "temporal": reduce(FULL, temporal=4),
    "spatiotemporal": reduce(FULL, 2, 2**0.5),
}


def workers_stat(name: str) -> list[list[str]]:
    """A file in /proc of each worker process, in fields."""
    children = multiprocessing.active_children()
    texts = [pathlib.Path(f"/proc/{child.pid}/{name}").read_text() for child in children]
    return [text.rpartition(")")[2].split() for text in texts]


def cpu_seconds() -> float:
    """Processor time of this process and its workers so far."""
    ticks = sum(int(fields[11]) + int(fields[12]) for fields in workers_stat("stat"))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def resident_mib() -> float:
    """Memory that is resident in this process and its workers."""
    own = pathlib.Path("/proc/self/statm").read_text().split()
    pages = sum(int(fields[1]) for fields in [own, *workers_stat("statm")])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclasses.dataclass
class Best:
    """The best of a case's rounds so far."""

    per_core: float = 0.0  # frames a second of processor time
    batches: float = 0.0  # a second by the clock

    def add(self, frames: int, batches: int, cpu: float, wall: float) -> None:
        self.per_core = max(self.per_core, frames / max(cpu, 1e-9))
        self.batches = max(self.batches, batches / wall)


def in_turns(cases: dict[str, Callable[[], tuple[int, int, float, float]]], rounds: int = ROUNDS):
    """Runs each case once a round; a case returns frames, batches, processor seconds and
    seconds.
    """
    best = {name: Best() for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            best[name].add(*case())
    return best


def timed(frames: Iterator) -> tuple[int, int, float, float]:
    """Takes all of an iterator of frames, which decodes in this thread."""
    cpu, wall = time.thread_time(), time.monotonic()
    count = sum(1 for _ in frames)
    return count, 0, time.thread_time() - cpu, time.monotonic() - wall


# Decoding alone, on one core, of every frame in turn.


def by_pyav(paths, height: int, width: int):
    for path in paths:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
            converter = av.video.reformatter.VideoReformatter()
            for frame in container.decode(stream):
                yield converter.reformat(frame, width, height, "rgb24", threads=1).to_ndarray()


def by_opencv(paths, height: int, width: int):
    for path in paths:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        while (read := capture.read())[0]:
            image = read[1]
            if image.shape[:2] != (height, width):
                image = cv2.resize(image, (width, height))
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        capture.release()


def by_seeking(paths):
    """The frames that are sampled of each video, and no other, as preparation and streaming read
    them.
    """
    for path in paths:
        yield from video_file.sample(
            path, SAMPLING.snippets, SAMPLING.frames, SAMPLING.stride
        ).frames


def by_imdecode(jpegs, fidelity: Fidelity):
    """The least that can be done: decode at the size libjpeg has nearest, cut out the middle,
    resize.
    """
    side = fidelity.height
    half = cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB
    flag = half if side <= 128 else cv2.IMREAD_COLOR_RGB
    for jpeg in jpegs:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flag)
        rows, columns = image.shape[:2]
        left = (columns - rows) // 2
        yield cv2.resize(image[:, left : left + rows], (side, side))


def decoding(paths, jpegs) -> dict[str, Best]:
    cases = {
        "H.264, PyAV, 256 x 340": lambda: timed(by_pyav(paths, 256, 340)),
        "H.264, PyAV, 128 x 170": lambda: timed(by_pyav(paths, 128, 170)),
        "H.264, cv2.VideoCapture, 256 x 340": lambda: timed(by_opencv(paths, 256, 340)),
        "H.264, cv2.VideoCapture, 128 x 170": lambda: timed(by_opencv(paths, 128, 170)),
        "H.264, PyAV, only the frames sampled": lambda: timed(by_seeking(paths)),
    }
    for name, fidelity in FIDELITIES.items():
        cases[f"prepared, imdecode, {name}"] = lambda f=fidelity: timed(by_imdecode(jpegs, f))
    best = in_turns(cases)
    print(f"\n{'decoding, no loader':40}{'frames/s/core':>15}")
    for name, result in best.items():
        print(f"{name:40}{result.per_core:15.0f}")
    return best


# Whole loaders.


class Thousands:
    """The records over and over, as a dataset of usual size: Grain takes milliseconds to shuffle a
    handful.
    """

    def __init__(self, source: records.Records):
        self._source = source

    def __len__(self) -> int:
        return 1000 * len(self._source)

    def __getitem__(self, i: int):
        return self._source[i % len(self._source)]


def taking(batches, count: int, warm: int = 3) -> tuple[int, int, float, float]:
    """Takes `count` batches of an endless iterator after the first `warm`."""
    for _ in range(warm):
        next(batches)
    cpu, wall, frames = cpu_seconds(), time.monotonic(), 0
    for _ in range(count):
        frames += int(np.prod(next(batches)["frames"].shape[:3]))
    return frames, count, cpu_seconds() - cpu, time.monotonic() - wall


def our_batches(source, fidelity: Fidelity, workers: int):
    whole = clips.WholeVideo(lambda index: fidelity, SAMPLING.frames, 1, clips.NONE, 0)
    return iter(clips.training_batches(source, whole, BATCH, 0, workers))


def ours(source, fidelity: Fidelity, workers: int):
    batches = our_batches(source, fidelity, workers)
    # What was read ahead of the first batch that counts is not timed, what is read ahead of the
    # last one is: both must be little beside the rest.
    warm, count = (40 * workers, 60) if workers else (8, 40)
    result = taking(batches, count * FULL.snippets // fidelity.snippets, warm)
    batches.close()
    return result


class Videos:
    """A PyTorch dataset as one writes it: decode the file, keep what was sampled, crop and
    resize.
    """

    def __init__(self, paths, fidelity: Fidelity, length: int):
        self._paths, self._fidelity, self._length = paths, fidelity, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> dict:
        side, wanted = self._fidelity.height, self._fidelity.snippets
        frames = list(by_pyav([self._paths[i % len(self._paths)]], 256, 340))
        times = sample_times(10.0, 30.0, SAMPLING.snippets, SAMPLING.frames, SAMPLING.stride)
        factor = SAMPLING.snippets // wanted
        chosen = (times * 30).astype(int).reshape(-1, SAMPLING.frames)[factor // 2 :: factor]
        cut = [cv2.resize(frames[n][:, 42:298], (side, side)) for n in chosen.ravel()]
        return {"frames": np.stack(cut).reshape(wanted, SAMPLING.frames, side, side, 3)}


def pytorchs(torch, paths, fidelity: Fidelity, workers: int):
    count = 6
    videos = Videos(paths, fidelity, BATCH * (workers + count))
    batches = torch.utils.data.DataLoader(
        videos, BATCH, shuffle=True, num_workers=workers, multiprocessing_context="spawn"
    )
    return taking(iter(batches), count, warm=workers)


def loading(source, paths, torch) -> dict[str, Best]:
    def turns(counts, rounds):
        cases = {
            f"ours, {name}, {workers} workers" if workers else f"ours, {name}, 2 threads": (
                lambda f=fidelity, w=workers: ours(source, f, w)
            )
            for name, fidelity in FIDELITIES.items()
            for workers in counts
        }
        return in_turns(cases, rounds)

    # A worker takes seconds to start.
    best = turns((0,), ROUNDS) | turns((1, 2), 1)
    if torch:
        plain = {
            f"PyTorch, {name}, {workers} workers": (
                lambda f=FIDELITIES[name], w=workers: pytorchs(torch, paths, f, w)
            )
            for name in FIDELITIES
            for workers in (1, 2)
        }
        best |= in_turns(plain, rounds=1)
    else:
        print("PyTorch is not installed: its DataLoader is left out")
    print(f"\n{f'loading batches of {BATCH} videos':40}{'frames/s/core':>15}{'batches/s':>12}")
    for name, result in best.items():
        print(f"{name:40}{result.per_core:15.0f}{result.batches:12.2f}")
    return best


def overhead(source, jpegs) -> None:
    """What the loader adds to the least that can be done, in processor time a frame: the median of
    pairs in turn.

    The least is done in two threads at once, as many as the loader has.
    """
    print("\nadded to imdecode, crop and resize by the whole loader, in processor time")
    for name, fidelity in FIDELITIES.items():
        added = []
        for _ in range(15):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                both = pool.map(timed, [by_imdecode(jpegs, fidelity) for _ in range(2)])
                least, seconds = np.sum([(frames, cpu) for frames, _, cpu, _ in both], axis=0)
            batches = our_batches(source, fidelity, 0)
            frames, _, spent, _ = taking(batches, 8 * FULL.snippets // fidelity.snippets, warm=8)
            batches.close()
            added.append(spent / frames / (seconds / least) - 1)
        quarters = np.percentile(added, [25, 50, 75])
        print(f"  {name:20}{{1:8.0%}}  (quartiles {{0:.0%}}, {{2:.0%}})".format(*quarters))


def memory(source) -> None:
    """Resident memory over 1,000 batches."""
    print(f"\n{'memory, MiB, at batch':40}" + "".join(f"{at:>8}" for at in (100, 400, 700, 1000)))
    for workers in (0, 2):
        batches, seen = our_batches(source, Fidelity(1, 112, 112), workers), []
        for i in range(1, 1001):
            next(batches)
            if i in (100, 400, 700, 1000):
                seen.append(resident_mib())
        batches.close()
        print(f"{f'{workers} workers':40}" + "".join(f"{mib:8.0f}" for mib in seen))
        print(f"{'  growth from batch 100 on':40}{100 * (max(seen) / seen[0] - 1):7.1f}%")


def main(argv) -> None:
    try:
        import torch.utils.data
    except ImportError:
        torch = None
    else:
        torch = sys.modules["torch"]
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shown = clips_340x256.make(folder, CLIPS)
        paths = sorted((folder / "videos").iterdir())
        builder, _ = dataset.build(
            "clips", folder / "videos", folder / "annotations.json", folder / "data", SAMPLING
        )
        stored = records.Records(builder, "training")
        source = Thousands(stored)
        jpegs = [jpeg for record in stored for jpeg in record.frames]
        print(
            f"{CLIPS} clips of {shown}: H.264"
            f" {np.mean([p.stat().st_size for p in paths]) / 1e6:.2f} MB a clip,"
            f" {np.mean([len(j) for j in jpegs]) / 1e3:.1f} kB a stored frame; {os.cpu_count()}"
            " cores"
        )
        bare = decoding(paths, jpegs)
        loaded = loading(source, paths, torch)
        spatial = loaded["ours, spatial, 2 threads"].per_core
        print("\nprepared store, spatial, the whole loader, against")
        for name in ("H.264, PyAV, 256 x 340", "H.264, PyAV, only the frames sampled"):
            print(f"  {name:38}{spatial / bare[name].per_core:8.1f} x a core")
        for workers in (1, 2) if torch else ():
            by = loaded[f"ours, spatial, {workers} workers"].batches
            plain = loaded[f"PyTorch, spatial, {workers} workers"].batches
            print(f"  PyTorch's DataLoader, {workers} workers{by / plain:17.1f} x the batches/s")
        overhead(source, jpegs)
        memory(source)


if __name__ == "__main__":
    app.run(main)
