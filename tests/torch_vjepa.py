"""V-JEPA 2 and 2.1's encoder in plain PyTorch, its modules named as in the public checkpoints.

Written from the papers and from what is known of the public networks, as a reference that shares
nothing with ours.
"""

import torch
from torch import nn


def turned(x, position, version):
    """Turns a third of a head's channels (..., tokens, C) by positions (tokens,), pair by pair."""
    half = x.shape[-1] // 2
    out = x.clone()
    for pair in range(half):
        a, b = x[..., 2 * pair], x[..., 2 * pair + 1]
        # Version 2 repeats the whole list of frequencies where 2.1 repeats each of them.
        of_a, of_b = (pair, pair) if version == "2.1" else (2 * pair % half, (2 * pair + 1) % half)
        of_a, of_b = (position * 10000.0 ** (-i / half) for i in (of_a, of_b))
        out[..., 2 * pair] = a * of_a.cos() - b * of_a.sin()
        out[..., 2 * pair + 1] = b * of_b.cos() + a * of_b.sin()
    return out


class Attention(nn.Module):
    def __init__(self, width, heads, version):
        super().__init__()
        self.heads, self.version = heads, version
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x, positions):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (q, k, v))
        third = 2 * (q.shape[-1] // 6)
        parts = [slice(i * third, (i + 1) * third) for i in range(3)]
        rest = slice(3 * third, None)
        q, k = (
            torch.cat(
                [
                    *(
                        turned(y[..., part], at, self.version)
                        for part, at in zip(parts, positions, strict=True)
                    ),
                    y[..., rest],
                ],
                dim=-1,
            )
            for y in (q, k)
        )
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, version):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, version)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width)

    def forward(self, x, positions):
        x = x + self.attn(self.norm1(x), positions)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, width, patch, tube):
        super().__init__()
        size = (tube, patch, patch)
        self.proj = nn.Conv3d(3, width, size, size)

    def forward(self, x):
        return self.proj(x)


class VJEPA(nn.Module):
    """Maps normalised clips (N, 3, T, H, W) to normalised tokens (N, T/2, places, C)."""

    def __init__(self, width, depth, heads, patch, version):
        super().__init__()
        self.patch, self.version = patch, version
        self.patch_embed = PatchEmbed(width, patch, 2)
        self.blocks = nn.ModuleList([Block(width, heads, version) for _ in range(depth)])
        if version == "2":
            self.norm = nn.LayerNorm(width, eps=1e-6)
            return
        self.norms_block = nn.ModuleList([nn.LayerNorm(width, eps=1e-6) for _ in range(4)])
        self.patch_embed_img = PatchEmbed(width, patch, 1)
        self.video_mod_embed = nn.Parameter(torch.zeros(1, 1, width))
        self.img_mod_embed = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, x, depth=None, after=lambda i, x: x):
        """Through the first `depth` blocks; what `after` makes of each one's output goes on."""
        x = self.patch_embed(x)
        times, rows, columns = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        if self.version == "2.1":
            x = x + self.video_mod_embed
        token = torch.arange(times * rows * columns)
        positions = [token // (rows * columns), token // columns % rows, token % columns]
        if self.version == "2.1":
            side = 256 // self.patch
            positions[1] = positions[1] * (side - 1) / (rows - 1)
            positions[2] = positions[2] * (side - 1) / (columns - 1)
        for i, block in enumerate(self.blocks[:depth]):
            x = after(i, block(x, positions))
        norm = self.norm if self.version == "2" else self.norms_block[-1]
        return norm(x).unflatten(1, (times, -1))
