"""Our steps beside PyTorch's of the same networks on the same weights, in turns: joint training,
extraction, heads.

python tests/benchmarks/bench_step.py

On a GPU at the paper's full size in bfloat16, on a CPU at a size that it can take. Of both sides
several ways are measured and the best ones compared. The TFLOP are those of our step, each product
counted once, so shares of the ceiling, which is the fastest large matrix product of either side,
compare like ratios. What PyTorch's loader can prepare (labels, sampling matrices) is ready before;
compilation and the first steps are not timed, nor the first of each turn. On a CPU both sides have
huge pages, as our commands begin.

Memory: of ours what XLA has planned, on all devices; of PyTorch what its allocator held at most, or
on a CPU by how much its process grew, which is less than the step takes where it had free memory
left.
"""

import concurrent.futures
import multiprocessing
import os
import pathlib
import statistics
import sys

import jax
import numpy as np
import our_step
from absl import app, flags
from step_work import WIDTHS, Work, batch, for_torch

from lofi_jax.devices import huge_pages
from lofi_jax.jobs.planning import planning

WORK = flags.DEFINE_list("work", ["joint", "extract", "head"], "What to measure.")
ENCODER = flags.DEFINE_list("encoder", list(WIDTHS), "Their names.")
FIDELITY = flags.DEFINE_list("fidelity", list(planning.FIDELITIES), "Of the joint step.")
SNIPPETS = flags.DEFINE_integer("snippets", None, "Of a video; G-TAD's map grows with its square.")
FRAMES = flags.DEFINE_integer("frames", 8, "Of a snippet.")
HEIGHT = flags.DEFINE_integer("height", None, "Of a square frame at full fidelity, in pixels.")
BATCH = flags.DEFINE_integer("batch_size", None, "Videos.")
CHUNK = flags.DEFINE_list("chunk", None, "Snippets encoded at once, each a way; 0: all.")
DTYPE = flags.DEFINE_enum("dtype", None, ["float32", "bfloat16"], "Of the computation.")
COMPILE = flags.DEFINE_boolean("compile", True, "Whether torch.compile is a way, too.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Times that each way is measured.")

DEFAULTS = {
    "gpu": dict(snippets=100, height=224, batch_size=16, chunk=["0", "25"], dtype="bfloat16"),
    "cpu": dict(snippets=8, height=112, batch_size=2, chunk=["0"], dtype="float32"),
}
# Both sides are in memory at the same time: each has an equal part of the GPU's.
FRACTION = 0.45
SIDES = ("ours", "torch")


def in_torch(name: str, *args):
    """Calls a function of torch_step; runs in PyTorch's process, since two CUDA libraries do not
    share one well.
    """
    sys.path.append(str(pathlib.Path(__file__).parents[1]))
    import torch_step

    return getattr(torch_step, name)(*args)


class Bench:
    """Measures works and prints what it finds."""

    def __init__(self, torch):
        self._torch = lambda *args: torch.submit(in_torch, *args).result()
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = str(FRACTION)
        # Waiting threads that spin make PyTorch many times slower on a CPU that does other work,
        # too.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        about = self._torch("limit_memory", FRACTION)
        jax.config.update("jax_num_cpu_devices", 2)
        device = jax.devices()[0]
        self._given = dict(DEFAULTS["cpu" if device.platform == "cpu" else "gpu"])
        flags_ = dict(snippets=SNIPPETS, height=HEIGHT, batch_size=BATCH, chunk=CHUNK, dtype=DTYPE)
        self._given |= {name: flag.value for name, flag in flags_.items() if flag.value is not None}
        self._chunks = [int(n) for n in self._given.pop("chunk")]
        size = 2048 if device.platform == "cpu" else 16384
        seconds = [f(size, self._given["dtype"]) for f in (our_step.matmul_seconds, self._matmul)]
        ours, theirs = (2 * size**3 / s / 1e12 for s in seconds)
        self._ceiling = max(ours, theirs)
        print(f"JAX {jax.__version__} on {len(jax.devices())} x {device.device_kind}; {about}")
        print(
            f"{self._given['dtype']} products of {size}: ours {ours:.3g}, torch {theirs:.3g}"
            " TFLOP/s"
        )
        reason = self._torch("compiles") if COMPILE.value else "not asked for"
        self._compiled = (False,) if reason else (False, True)
        if reason:
            print(f"without torch.compile: {reason}")

    def measure(self, kind: str, encoder: str, fidelity: str) -> None:
        """All ways to do one work, in turns."""
        work = Work(kind, encoder, fidelity, frames=FRAMES.value, **self._given)
        print(f"\n{work}", flush=True)
        arrays = batch(work)
        theirs = for_torch(work, arrays)
        matrices = {name: theirs[name] for name in ("inner", "context")}
        public = self._torch("weights", work, matrices)
        chunks = dict.fromkeys(planning.divisor(work.at.snippets, n) for n in self._chunks)
        chunks = [0] if kind == "head" else list(chunks)
        ways = {}
        for chunk in chunks:
            name = f"chunk={chunk}" if chunk else "at once"
            ways[f"ours, {name}"] = our_step.load(work, arrays, public, chunk)
            for compiled in self._compiled:
                loaded = self._torch("load", work, theirs, chunk, compiled)
                if loaded:
                    loaded = (self._timer(loaded[0]), *loaded[1:])
                ways[f"torch{'.compile' * compiled}, {name}"] = loaded
        for name in [name for name, way in ways.items() if way is None]:
            print(f"  {name:24} does not fit")
            del ways[name]
        if not all(any(name.startswith(side) for name in ways) for side in SIDES):
            self._torch("unload")
            return
        _compare_results(ways, 1e-3 if work.dtype == "float32" else 5e-2)
        seconds = {name: [] for name in ways}
        for _ in range(ROUNDS.value):
            for name, (once, _, _) in ways.items():
                once()  # what the other way's turn took from caches and memory comes back
                seconds[name].append(once())
        self._report(work, ways, {n: statistics.median(taken) for n, taken in seconds.items()})
        self._torch("unload")

    def _matmul(self, size: int, dtype: str) -> float:
        return self._torch("matmul_seconds", size, dtype)

    def _timer(self, number: int):
        return lambda: self._torch("seconds", number)

    def _report(self, work: Work, ways: dict, seconds: dict[str, float]) -> None:
        tflop = our_step.tflop(work)
        for name, taken in seconds.items():
            frames = work.batch_size * work.snippets * work.frames
            speed = {
                "joint": f"{1000 * taken / work.batch_size:10.2f} ms a video",
                "extract": f"{frames / taken:10.1f} frames/s",
                "head": f"{1 / taken:10.2f} steps/s",
            }[work.kind]
            print(
                f"  {name:24}{speed:24}{ways[name][2]:8.2f} GiB {tflop / taken:9.3g} TFLOP/s"
                f" {100 * tflop / taken / self._ceiling:5.1f} % of the ceiling"
            )
        best = [min((s, n) for n, s in seconds.items() if n.startswith(side)) for side in SIDES]
        (ours, our_name), (theirs, their_name) = best
        print(f"  {our_name} takes {ours / theirs:.2f} x the time of {their_name}", flush=True)


def _compare_results(ways: dict, tolerance: float) -> None:
    """All ways must give the same, but for the loss whose anchors are drawn."""
    (_, expected, _), *others = ways.values()
    for name, wanted in expected.items():
        if name in ("regression", "loss"):
            continue
        for _, found, _ in others:
            np.testing.assert_allclose(found[name], wanted, atol=tolerance * np.abs(wanted).max())


def main(argv):
    del argv
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as torch:
        bench = Bench(torch)
        for encoder in ENCODER.value:
            for kind in WORK.value:
                for fidelity in FIDELITY.value if kind == "joint" else ["full"]:
                    bench.measure(kind, encoder, fidelity)
        held = jax.devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in held:
            print(f"\nours at most, as measured: {held['peak_bytes_in_use'] / 2**30:.2f} GiB")


if __name__ == "__main__":
    huge_pages.begin_with()
    app.run(main)
