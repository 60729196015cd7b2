"""I3D in plain PyTorch, its modules named as in the public checkpoint.

Written from the paper (arXiv 1705.07750, figure 3) and from what is known of the public network, as
a reference that shares nothing with ours.
"""

import torch
from torch import nn
from torch.nn import functional

MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}


def padded(x, sizes, strides):
    """With zeros on every axis that its windows go beyond, the odd one at the end."""
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True), start=2):
        length = x.shape[axis]
        windows = (length + stride - 1) // stride
        lacking = max(0, size + stride * (windows - 1) - length)
        around = [0] * 2 * (4 - axis) + [lacking // 2, lacking - lacking // 2]
        x = functional.pad(x, around)
    return x


class Pool(nn.Module):
    """Of what is not negative, so that a padding of zeros is no maximum."""

    def __init__(self, sizes, strides):
        super().__init__()
        self.sizes, self.strides = sizes, strides

    def forward(self, x):
        return functional.max_pool3d(padded(x, self.sizes, self.strides), self.sizes, self.strides)


class Unit(nn.Module):
    def __init__(self, inputs, outputs, size, stride=1):
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, size, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, 1e-3)
        self.size, self.stride = [size] * 3, [stride] * 3

    def forward(self, x):
        return self.bn(self.conv3d(padded(x, self.size, self.stride))).relu()


class Mixed(nn.Module):
    def __init__(self, inputs, b0, b1a, b1b, b2a, b2b, b3b):
        super().__init__()
        self.b0 = Unit(inputs, b0, 1)
        self.b1a, self.b1b = Unit(inputs, b1a, 1), Unit(b1a, b1b, 3)
        self.b2a, self.b2b = Unit(inputs, b2a, 1), Unit(b2a, b2b, 3)
        self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Unit(inputs, b3b, 1)

    def forward(self, x):
        branches = (
            self.b0(x),
            self.b1b(self.b1a(x)),
            self.b2b(self.b2a(x)),
            self.b3b(self.b3a(x)),
        )
        return torch.cat(branches, 1)


class Logits(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv3d = nn.Conv3d(1024, 400, 1)


class I3D(nn.Module):
    """`forward` maps clips (N, 3, T, H, W) in -1..1 to (N, C, t, h, w) of an end point."""

    def __init__(self):
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.MaxPool3d_2a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        self.MaxPool3d_3a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        for name, widths in MIXED.items():
            if name == "4b":
                self.MaxPool3d_4a_3x3 = Pool((3, 3, 3), (2, 2, 2))
            if name == "5b":
                self.MaxPool3d_5a_2x2 = Pool((2, 2, 2), (2, 2, 2))
            setattr(self, f"Mixed_{name}", Mixed(*widths))
        self.logits = Logits()

    def forward(self, x, end_point="Mixed_5c"):
        for name, module in self.named_children():
            x = module(x)
            if name == end_point:
                return x
