"""VideoMAE's transformer with AdaTAD's adapters in plain PyTorch, its modules named as in the
official checkpoints.

Written from the papers, as a reference that shares nothing with ours.
"""

import math

import torch
from torch import nn
from torch.nn import functional


def sinusoids(positions, width):
    """A table (positions, width), position by position and channel by channel."""
    table = torch.zeros(positions, width, dtype=torch.float64)
    for p in range(positions):
        for j in range(width):
            angle = p / 10000 ** (2 * (j // 2) / width)
            table[p, j] = math.cos(angle) if j % 2 else math.sin(angle)
    return table.float()


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias, self.v_bias = (
            nn.Parameter(torch.zeros(width)),
            nn.Parameter(torch.zeros(width)),
        )
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        n, tokens, width = x.shape
        biases = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = functional.linear(x, self.qkv.weight, biases)
        q, k, v = qkv.view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(2, 3) / math.sqrt(width // self.heads)
        return self.proj((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Adapter(nn.Module):
    """What it adds to tokens (videos, times, places, width)."""

    def __init__(self, width, ratio=4):
        super().__init__()
        inner = width // ratio
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, width)
        self.depthwise = nn.Conv1d(inner, inner, 3, padding=1, groups=inner)
        self.pointwise = nn.Conv1d(inner, inner, 1)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        u = functional.gelu(self.down(x))
        videos, times, places, inner = u.shape
        rows = u.permute(0, 2, 3, 1).reshape(videos * places, inner, times)
        mixed = self.pointwise(self.depthwise(rows))
        mixed = mixed.view(videos, places, inner, times).permute(0, 3, 1, 2)
        return self.scale * self.up(u + mixed)


class PatchEmbed(nn.Module):
    def __init__(self, width, patch):
        super().__init__()
        self.proj = nn.Conv3d(3, width, (2, patch, patch), (2, patch, patch))

    def forward(self, x):
        return self.proj(x)


class VideoMAE(nn.Module):
    """Normalised windows (B, 3, F, H, W) to the tokens after each block and its adapter, each (B,
    F/2, h, w, width); `adapter` is "none", "tia" or "side", whose sum comes last. The last
    `adapted` blocks have one.
    """

    def __init__(
        self,
        width,
        depth,
        heads,
        hidden,
        patch,
        clip,
        image,
        adapter="none",
        adapted=0,
        adapter_ratio=4,
    ):
        super().__init__()
        self.clip, self.adapter, self.grid = clip, adapter, image // patch
        self.patch_embed = PatchEmbed(width, patch)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(depth))
        count = {"none": 0, "tia": adapted or depth, "side": adapted or depth // 2}[adapter]
        self.adapters = nn.ModuleList(Adapter(width, adapter_ratio) for _ in range(count))
        self.table = sinusoids(clip // 2 * self.grid**2, width)

    def forward(self, x):
        videos, _, frames, _, _ = x.shape
        clips = x.unflatten(2, (-1, self.clip)).transpose(1, 2).flatten(0, 1)
        x = self.patch_embed(clips)
        _, width, _, h, w = x.shape
        table = self.table.view(-1, self.grid, self.grid, width).permute(0, 3, 1, 2)
        if (h, w) != (self.grid, self.grid):
            table = functional.interpolate(table, (h, w), mode="bicubic", align_corners=False)
        x = (x + table.transpose(0, 1)).flatten(2).transpose(1, 2)
        outputs, beside = [], 0
        for i, block in enumerate(self.blocks):
            x = block(x)
            of_window = x.reshape(videos, frames // 2, h * w, width)
            number = i - len(self.blocks) + len(self.adapters)
            if self.adapter == "tia" and number >= 0:
                x = (of_window + self.adapters[number](of_window)).reshape(x.shape)
            elif self.adapter == "side" and number >= 0:
                beside = beside + self.adapters[number](of_window.detach())
            outputs.append(x.reshape(videos, frames // 2, h, w, width))
        if self.adapter == "side":
            outputs.append(outputs[-1].detach() + beside.reshape(outputs[-1].shape))
        return outputs


def randomised(network, seed):
    """The network with numbers in all its parameters, none of them special."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            shift = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            scale = 0.1 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
            parameter.copy_(shift + scale * torch.randn(parameter.shape, generator=generator))
    return network
