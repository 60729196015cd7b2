"""ActionFormer in plain PyTorch, written out literally: attention is computed one point at a time.

The parameters bear the names that the public checkpoints use.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    """Over channels, of (B, C, T)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, 1))
        self.bias = nn.Parameter(torch.randn(1, channels, 1))

    def forward(self, x):
        x = x - x.mean(dim=1, keepdim=True)
        x = x / torch.sqrt((x**2).mean(dim=1, keepdim=True) + 1e-5)
        return x * self.weight + self.bias


class Conv(nn.Module):
    """A convolution, of three points if not told, whose output is zero where the video is not."""

    def __init__(self, inputs: int, outputs: int, bias: bool, stride=1, groups=1, kernel=3):
        super().__init__()
        middle = kernel // 2
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, middle, groups=groups, bias=bias)

    def forward(self, x, real):
        return self.conv(x) * real


class Scale(nn.Module):
    def __init__(self, *shape: int):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(shape) + 0.5)

    def forward(self, x):
        return x * self.scale


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int, window: int, stride: int):
        super().__init__()
        self.heads, self.window = heads, window
        for name in ("query", "key", "value"):
            conv = Conv(channels, channels, bias=False, stride=stride, groups=channels)
            self.add_module(f"{name}_conv", conv)
            self.add_module(f"{name}_norm", Norm(channels))
            self.add_module(name, nn.Conv1d(channels, channels, 1))
        self.proj = nn.Conv1d(channels, channels, 1)

    def forward(self, x, real):
        q, k, v = (
            getattr(self, name)(
                getattr(self, f"{name}_norm")(getattr(self, f"{name}_conv")(x, real))
            ).unflatten(1, (self.heads, -1))
            for name in ("query", "key", "value")
        )
        length, valid = q.shape[-1], np.flatnonzero(real.numpy())
        points = []
        for t in range(length):
            seen = [s for s in valid if not self.window or abs(s - t) <= self.window // 2]
            if not seen:
                points.append(torch.zeros_like(q[..., 0]))
                continue
            logits = (q[..., t, None] * k[..., seen]).sum(dim=2) / q.shape[2] ** 0.5
            points.append((torch.softmax(logits, dim=-1)[:, :, None] * v[..., seen]).sum(dim=-1))
        return self.proj(torch.stack(points, dim=-1).flatten(1, 2)) * real


class Block(nn.Module):
    def __init__(self, channels: int, heads: int, window: int, stride: int):
        super().__init__()
        self.ln1, self.ln2 = Norm(channels), Norm(channels)
        self.attn = Attention(channels, heads, window, stride)
        self.pool = nn.MaxPool1d(3, stride, 1) if stride > 1 else nn.Identity()
        self.mlp = nn.Sequential(
            nn.Conv1d(channels, 4 * channels, 1),
            nn.GELU(),
            nn.Identity(),
            nn.Conv1d(4 * channels, channels, 1),
        )
        self.drop_path_attn, self.drop_path_mlp = Scale(1, channels, 1), Scale(1, channels, 1)

    def forward(self, x, real):
        x = self.pool(x) * real + self.drop_path_attn(self.attn(self.ln1(x), real))
        return x + self.drop_path_mlp(self.mlp(self.ln2(x)) * real)


class Tower(nn.Module):
    def __init__(self, inputs: int, outputs: int, last: str, channels: int = 0, kernel: int = 3):
        super().__init__()
        channels = channels or inputs
        self.head = nn.ModuleList(
            Conv(n, channels, bias=False, kernel=kernel) for n in (inputs, channels)
        )
        self.norm = nn.ModuleList(Norm(channels) for _ in range(2))
        self.last = last
        self.add_module(last, Conv(channels, outputs, bias=True, kernel=kernel))

    def forward(self, x, real):
        for conv, norm in zip(self.head, self.norm, strict=True):
            x = torch.relu(norm(conv(x, real)))
        return getattr(self, self.last)(x, real)


class ActionFormer(nn.Module):
    """(B, D, L) -> for each level, logits (B, T, classes) and distances (B, T, 2), of the video's
    own points.

    Args:
        windows: of each level, 0 for all points.
        positions: the length that absolute positions are made for; 0: none.
    """

    def __init__(self, dim, channels, heads, stem, windows, classes, positions):
        super().__init__()
        self.positions, self.levels = positions, len(windows)
        self.backbone = nn.Module()
        self.backbone.embd = nn.ModuleList(
            [Conv(dim, channels, bias=False), Conv(channels, channels, bias=False)]
        )
        self.backbone.embd_norm = nn.ModuleList(Norm(channels) for _ in range(2))
        self.backbone.stem = nn.ModuleList(
            Block(channels, heads, windows[0], 1) for _ in range(stem)
        )
        self.backbone.branch = nn.ModuleList(Block(channels, heads, w, 2) for w in windows[1:])
        self.neck = nn.Module()
        self.neck.fpn_norms = nn.ModuleList(Norm(channels) for _ in windows)
        self.cls_head = Tower(channels, classes, "cls_head")
        self.reg_head = Tower(channels, 2, "offset_head")
        self.reg_head.scale = nn.ModuleList(Scale() for _ in windows)

    def pyramid(self, features, length: int):
        """Each level's features and which of its points are the video's."""
        snippets = features.shape[-1]
        x = F.pad(features, (0, length - snippets))
        real = (torch.arange(length) < snippets).float()
        for conv, norm in zip(self.backbone.embd, self.backbone.embd_norm, strict=True):
            x = torch.relu(norm(conv(x, real)))
        if self.positions:
            x = x + self.encoding(length, x.shape[1]) * real
        for block in self.backbone.stem:
            x = block(x, real)
        pyramid = [(x, real)]
        for block in self.backbone.branch:
            real = real[::2]
            x = block(x, real)
            pyramid.append((x, real))
        return [
            (norm(x), real) for norm, (x, real) in zip(self.neck.fpn_norms, pyramid, strict=True)
        ]

    def forward(self, features, length: int):
        """Pads the features to `length` first."""
        logits, distances = [], []
        for i, (x, real) in enumerate(self.pyramid(features, length)):
            of_level = self.cls_head(x, real), self.reg_head.scale[i](self.reg_head(x, real))
            own = int(real.sum())
            logits.append(of_level[0][..., :own].transpose(1, 2))
            distances.append(torch.relu(of_level[1])[..., :own].transpose(1, 2))
        return logits, distances

    def encoding(self, length: int, channels: int):
        table = torch.zeros(channels, self.positions)
        for c in range(channels):
            for at in range(self.positions):
                angle = at / 10000 ** (2 * (c // 2) / channels)
                table[c, at] = (np.cos if c % 2 else np.sin)(angle) / channels**0.5
        if length > self.positions:
            table = F.interpolate(table[None], length, mode="linear", align_corners=False)[0]
        return table[:, :length]


def loss(logits, distances, classes, wanted, smoothing: float, weight: float):
    """The terms of the loss, from all levels' outputs joined and the targets of every point."""
    positive = classes.max(dim=-1)[0] > 0
    number = max(int(positive.sum()), 1)
    labels = classes * (1 - smoothing) + smoothing / (classes.shape[-1] + 1)
    p = torch.sigmoid(logits)
    right = p * labels + (1 - p) * (1 - labels)
    entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    focal = (0.25 * labels + 0.75 * (1 - labels)) * (1 - right) ** 2 * entropy
    total = 0.0
    for (a, b), (c, d) in zip(distances[positive], wanted[positive], strict=True):
        overlap = torch.minimum(a, c) + torch.minimum(b, d)
        around = torch.maximum(a, c) + torch.maximum(b, d)
        off = (b - a - d + c) / 2
        total = total + 1 - overlap / (a + b + c + d - overlap) + (off / around) ** 2
    return {"classification": focal.sum() / number, "regression": weight * total / number}
