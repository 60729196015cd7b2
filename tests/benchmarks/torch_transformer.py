"""PyTorch's side of bench_transformer.py, in a process of its own: a video transformer with
adapters around its own `scaled_dot_product_attention`.
"""

import pathlib
import sys

import numpy as np
import torch

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import torch_adapters
import torch_videomae
from clocks import seconds

from lofi_jax.models.encoders.tsm import MEAN, STD

_steps = {}


class Attention(torch_videomae.Attention):
    def forward(self, x):
        n, tokens, width = x.shape
        biases = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = torch.nn.functional.linear(x, self.qkv.weight, biases)
        q, k, v = qkv.view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(n, tokens, width))


torch_videomae.Attention = Attention


def load(sizes, frames, trained: bool, compiles: bool) -> tuple[dict, dict]:
    """Makes the steps ready, eager and compiled; gives the backbone's arrays by their public names
    and the adapters' as our parameters.

    Args:
        sizes: width, depth and heads.
        frames: of a window (1, F, H, W, 3), uint8.
        trained: whether the backbone is.
    """
    same = dict(hidden=4 * sizes["width"], patch=16, clip=16, image=224, adapter="tia")
    network = torch_videomae.VideoMAE(*(sizes[key] for key in ("width", "depth", "heads")), **same)
    torch_videomae.randomised(network, 0)
    for name, parameter in network.named_parameters():
        parameter.requires_grad = trained or name.startswith("adapters")
    x = (frames / np.float32(255) - np.array(MEAN)) / np.array(STD)
    x = torch.tensor(np.moveaxis(x, -1, 1), dtype=torch.float32)
    ways = {"torch": network}
    if compiles:
        ways["torch.compile"] = torch.compile(network)

    def step(forward):
        network.zero_grad(set_to_none=True)
        features = forward(x)[-1].mean((2, 3))
        features.square().sum().backward()
        return features.detach().numpy()

    for name, forward in ways.items():
        _steps[name] = lambda forward=forward: step(forward)
        _steps[name]()
    arrays = {key: x.numpy() for key, x in network.state_dict().items() if "adapters" not in key}
    for parameter in network.adapters.parameters():
        parameter.grad = parameter.detach()
    return arrays, torch_adapters.gradients(network.adapters)


def features(way: str) -> np.ndarray:
    return _steps[way]()


def taken(way: str) -> np.ndarray:
    """Seconds of a step, of the clock and of the processor."""
    return seconds(_steps[way])
