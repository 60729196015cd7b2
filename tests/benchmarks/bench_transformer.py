"""A step of a video transformer with adapters, ours beside PyTorch's with its own
`scaled_dot_product_attention`: same shape, same weights, same gradients, in turns.

python tests/benchmarks/bench_transformer.py

The step is the forward pass of a window and the backward pass to the adapters of a frozen backbone
(--backbone=trained: to all parameters), by PyTorch eagerly and by torch.compile. Compilation and
the first steps are not timed, nor the first of each turn. On a CPU both sides have huge pages, as
our commands begin; if it does other work, only the processor's time compares.
"""

import concurrent.futures
import importlib
import multiprocessing
import os
import pathlib
import sys

# Waiting threads that spin make PyTorch many times slower on a CPU that does other work, too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from clocks import seconds
from flax.traverse_util import unflatten_dict

sys.path.append(str(pathlib.Path(__file__).parents[1]))

from lofi_jax.devices import huge_pages
from lofi_jax.models.encoders.videomae import VideoMAE
from lofi_jax.models.protocols import by_path
from lofi_jax.weights import assign, encoder_layouts, stacked

WIDTH = flags.DEFINE_integer("width", 384, "Channels; 384 is ViT-S.")
DEPTH = flags.DEFINE_integer("depth", 12, "Blocks.")
HEADS = flags.DEFINE_integer("heads", 6, "Of the attention.")
FRAMES = flags.DEFINE_integer("frames", 32, "Of a window.")
SIZE = flags.DEFINE_integer("size", 160, "Of a square frame, in pixels.")
BACKBONE = flags.DEFINE_enum("backbone", "frozen", ["frozen", "trained"], "What trains.")
CHUNK = flags.DEFINE_integer("chunk", 0, "Clips at once on our side; 0: all.")
COMPILE = flags.DEFINE_boolean("compile", True, "Whether torch.compile is a way, too.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each way.")


def ours(sizes, frames, arrays, adapters):
    """Our step on the weights of PyTorch's network.

    Args:
        arrays, adapters: of `torch_transformer.load`.
    """
    made = by_path(jax.eval_shape(VideoMAE(**sizes).init, jax.random.key(0), frames))
    shapes = stacked.apart({path: x.shape for path, x in made.items()})
    fit = assign.fit(arrays, shapes, encoder_layouts.ENCODER_LAYOUTS)
    params = unflatten_dict(stacked.together(fit.variables), sep=".")["params"]
    encoder = VideoMAE(**sizes, adapter="tia", backbone=BACKBONE.value)
    fresh = jax.eval_shape(encoder.init, jax.random.key(0), frames)["params"]["adapters"]
    assert jax.tree.map(np.shape, adapters) == jax.tree.map(lambda x: x.shape, fresh)
    trained = BACKBONE.value == "trained"
    moving = {"adapters": adapters} | (params if trained else {})
    still = {} if trained else params

    @jax.jit
    def gradient(moving, still, frames):
        def loss(moving):
            given = {"params": {**still, **moving}}
            features = encoder.apply(given, frames, chunk=CHUNK.value)
            return jnp.square(features).sum(), features

        return jax.grad(loss, has_aux=True)(moving)

    arguments = jax.device_put((moving, still, frames))
    return lambda: jax.block_until_ready(gradient(*arguments))[1]


def in_torch(name: str, *args):
    """Calls a function of torch_transformer, in its process."""
    return getattr(importlib.import_module("torch_transformer"), name)(*args)


def main(argv):
    del argv
    shape = (1, FRAMES.value, SIZE.value, SIZE.value, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    sizes = dict(width=WIDTH.value, depth=DEPTH.value, heads=HEADS.value)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as process:

        def torch(*args):
            return process.submit(in_torch, *args).result()

        trained = BACKBONE.value == "trained"
        step = ours(sizes, frames, *torch("load", sizes, frames, trained, COMPILE.value))
        wanted = torch("features", "torch")
        np.testing.assert_allclose(step(), wanted, atol=1e-4 * np.abs(wanted).max())
        ways = {"ours": lambda: seconds(step), "torch": lambda: torch("taken", "torch")}
        if COMPILE.value:
            ways["torch.compile"] = lambda: torch("taken", "torch.compile")
        taken = {name: [] for name in ways}
        for _ in range(ROUNDS.value):
            for name, way in ways.items():
                way()
                taken[name].append(way())
    medians = {name: np.median(each, axis=0) for name, each in taken.items()}
    print(f"JAX {jax.__version__}: width {WIDTH.value}, {shape}")
    for name, (clock, processor) in medians.items():
        print(f"  {name:14}{1000 * clock:10.1f} ms, of the processor {1000 * processor:10.1f} ms")
    ours_, *others = medians.values()
    clock, processor = ours_ / np.min(others, axis=0)
    print(
        f"  ours takes {clock:.2f} x the time of PyTorch's best, {processor:.2f} x processor time"
    )


if __name__ == "__main__":
    huge_pages.begin_with()
    app.run(main)
