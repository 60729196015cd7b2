"""A step of a video transformer with adapters, ours beside PyTorch's with its own
`scaled_dot_product_attention`: same shape, same weights, same gradients, in turns.

python tests/benchmarks/bench_transformer.py

The step is the forward pass of a window and the backward pass to the adapters of a frozen backbone
(--backbone=trained: to all parameters), by PyTorch eagerly and by torch.compile. Compilation and
the first steps are not timed. On a CPU that does other work only the processor's time compares.
"""

import os
import pathlib
import sys
import time

# Waiting threads that spin make PyTorch many times slower on a CPU that does other work, too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import app, flags

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import torch_adapters
import torch_videomae
from flax.traverse_util import unflatten_dict

from lofi_jax.models.encoders.tsm import MEAN, STD
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
ROUNDS = flags.DEFINE_integer("rounds", 5, "Times that each way is measured.")


def attend(self, x):
    """`torch_videomae.Attention` by PyTorch's own attention."""
    n, tokens, width = x.shape
    biases = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
    qkv = torch.nn.functional.linear(x, self.qkv.weight, biases)
    q, k, v = qkv.view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    return self.proj(out.transpose(1, 2).reshape(n, tokens, width))


torch_videomae.Attention.forward = attend


def seconds(step) -> np.ndarray:
    """Of the clock and of the processor."""
    started = np.array([time.perf_counter(), time.process_time()])
    step()
    return np.array([time.perf_counter(), time.process_time()]) - started


def theirs(frames, compiled):
    """PyTorch's network, and its step."""
    sizes = dict(hidden=4 * WIDTH.value, patch=16, clip=16, image=224, adapter="tia")
    network = torch_videomae.VideoMAE(WIDTH.value, DEPTH.value, HEADS.value, **sizes)
    torch_videomae.randomised(network, 0)
    if BACKBONE.value == "frozen":
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.startswith("adapters")
    x = (frames / np.float32(255) - np.array(MEAN)) / np.array(STD)
    x = torch.tensor(np.moveaxis(x, -1, 1), dtype=torch.float32)
    forward = torch.compile(network) if compiled else network

    def step():
        network.zero_grad(set_to_none=True)
        features = forward(x)[-1].mean((2, 3))
        features.square().sum().backward()
        return features

    return network, step


def ours(frames, network):
    """Our step on the weights of PyTorch's network."""
    sizes = dict(width=WIDTH.value, depth=DEPTH.value, heads=HEADS.value)
    arrays = {key: x.numpy() for key, x in network.state_dict().items() if "adapters" not in key}
    made = by_path(jax.eval_shape(VideoMAE(**sizes).init, jax.random.key(0), frames))
    shapes = stacked.apart({path: x.shape for path, x in made.items()})
    fit = assign.fit(arrays, shapes, encoder_layouts.ENCODER_LAYOUTS)
    params = unflatten_dict(stacked.together(fit.variables), sep=".")["params"]
    encoder = VideoMAE(**sizes, adapter="tia", backbone=BACKBONE.value)
    fresh = jax.eval_shape(encoder.init, jax.random.key(0), frames)["params"]["adapters"]
    network.zero_grad()
    for module in network.adapters:
        for parameter in module.parameters():
            parameter.grad = parameter.detach()
    params["adapters"] = torch_adapters.gradients(network.adapters)
    assert jax.tree.map(np.shape, params["adapters"]) == jax.tree.map(lambda x: x.shape, fresh)
    moving = params if BACKBONE.value == "trained" else {"adapters": params.pop("adapters")}
    still = {} if BACKBONE.value == "trained" else params

    @jax.jit
    def gradient(moving, still, frames):
        def loss(moving):
            given = {"params": {**still, **moving}}
            features = encoder.apply(given, frames, chunk=CHUNK.value)
            return jnp.square(features).sum(), features

        return jax.grad(loss, has_aux=True)(moving)

    arguments = jax.device_put((moving, still, frames))
    return lambda: jax.block_until_ready(gradient(*arguments))[1]


def main(argv):
    del argv
    shape = (1, FRAMES.value, SIZE.value, SIZE.value, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    network, eager = theirs(frames, False)
    ways = {"ours": ours(frames, network), "torch": eager}
    if COMPILE.value:
        ways["torch.compile"] = theirs(frames, True)[1]
    wanted = eager().detach().numpy()
    np.testing.assert_allclose(ways["ours"](), wanted, atol=1e-4 * np.abs(wanted).max())
    for step in ways.values():
        step()
    taken = {name: [] for name in ways}
    for _ in range(ROUNDS.value):
        for name, step in ways.items():
            taken[name].append(seconds(step))
    medians = {name: np.median(each, axis=0) for name, each in taken.items()}
    print(f"JAX {jax.__version__}, PyTorch {torch.__version__}: width {WIDTH.value}, {shape}")
    for name, (clock, processor) in medians.items():
        print(f"  {name:14}{1000 * clock:10.1f} ms, of the processor {1000 * processor:10.1f} ms")
    ours_, *others = medians.values()
    clock, processor = ours_ / np.min(others, axis=0)
    print(
        f"  ours takes {clock:.2f} x the time of PyTorch's best, {processor:.2f} x processor time"
    )


if __name__ == "__main__":
    app.run(main)
