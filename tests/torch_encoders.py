"""The public encoders in plain PyTorch, their modules named as in each public checkpoint.

Written from the papers and from what is known of the public networks, as a reference that shares
nothing with ours. `forward` maps normalised images (N, 3, H, W) or clips (N, 3, T, H, W) to
features, before the classification layer.
"""

import torch
from torch import nn


class Shift(nn.Module):
    """Before `net`: the first 1/8 of the channels from the next frame, the second from the previous
    (arXiv 1811.08383).

    `swapped` exchanges the two.
    """

    def __init__(self, net, frames, swapped=False):
        super().__init__()
        self.net, self.frames, self.swapped = net, frames, swapped

    def forward(self, x):
        n, c = x.shape[0] // self.frames, x.shape[1] // 8
        x = x.unflatten(0, (n, self.frames))
        moved = x.clone()
        forward, backward = (
            (slice(c, 2 * c), slice(c)) if self.swapped else (slice(c), slice(c, 2 * c))
        )
        for t in range(self.frames):
            moved[:, t, forward] = x[:, t + 1, forward] if t + 1 < self.frames else 0
            moved[:, t, backward] = x[:, t - 1, backward] if t > 0 else 0
        return self.net(moved.flatten(0, 1))


def _shortcut(projection, inputs, outputs, stride):
    """The projection of that shape, or nothing where the shape stays."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return projection(inputs, outputs, stride)


def _projection(inputs, outputs, stride):
    conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Basic(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(_projection, inputs, width, stride)

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + self.downsample(x)).relu()


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(_projection, inputs, 4 * width, stride)

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


def _stages(network, block, sizes, widths, expansion=1):
    """Adds layer1, layer2, ... to a network."""
    inputs = widths[0]
    for i, (size, width) in enumerate(zip(sizes, widths, strict=True)):
        blocks = []
        for j in range(size):
            blocks.append(block(inputs, width, 2 if i > 0 and j == 0 else 1))
            inputs = expansion * width
        setattr(network, f"layer{i + 1}", nn.Sequential(*blocks))
    network.stages = len(sizes)


def _through(network, x):
    for i in range(network.stages):
        x = getattr(network, f"layer{i + 1}")(x)
    return x.flatten(2).mean(2)


class ResNet(nn.Module):
    """As torchvision names it, and timm."""

    def __init__(self, sizes, block=Basic, widths=(64, 128, 256, 512)):
        super().__init__()
        expansion = 4 if block is Bottleneck else 1
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        _stages(self, block, sizes, widths, expansion)
        self.fc = nn.Linear(expansion * widths[-1], 10)

    def forward(self, x):
        return _through(self, self.maxpool(self.bn1(self.conv1(x)).relu()))

    def shifted(self, frames, swapped=False):
        """Makes a TSM of it, as the TSM authors do."""
        for block in _blocks(self):
            block.conv1 = Shift(getattr(block.conv1, "net", block.conv1), frames, swapped)
        return self


def _blocks(network):
    return [b for i in range(network.stages) for b in getattr(network, f"layer{i + 1}")]


class ConvModule(nn.Module):
    """mmcv's: a convolution with its BatchNorm."""

    def __init__(self, conv, norm):
        super().__init__()
        self.conv, self.bn = conv, norm

    def forward(self, x):
        return self.bn(self.conv(x))


def _conv_module(inputs, outputs, kernel, stride=1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return ConvModule(conv, nn.BatchNorm2d(outputs))


def _mm_projection(inputs, outputs, stride):
    return _conv_module(inputs, outputs, 1, stride)


class MMBasic(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = _conv_module(inputs, width, 3, stride)
        self.conv2 = _conv_module(width, width, 3)
        self.downsample = _shortcut(_mm_projection, inputs, width, stride)

    def forward(self, x):
        y = self.conv2(self.conv1(x).relu())
        return (y + self.downsample(x)).relu()


class MMBottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = _conv_module(inputs, width, 1)
        self.conv2 = _conv_module(width, width, 3, stride)
        self.conv3 = _conv_module(width, 4 * width, 1)
        self.downsample = _shortcut(_mm_projection, inputs, 4 * width, stride)

    def forward(self, x):
        y = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        return (y + self.downsample(x)).relu()


class MMResNet(nn.Module):
    """As mmaction2 names it."""

    def __init__(self, sizes, block=MMBasic, widths=(64, 128, 256, 512)):
        super().__init__()
        self.conv1 = _conv_module(3, widths[0], 7, 2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        _stages(self, block, sizes, widths, 4 if block is MMBottleneck else 1)

    def forward(self, x):
        return _through(self, self.maxpool(self.conv1(x).relu()))

    def shifted(self, frames):
        """Makes a TSM of it, as mmaction2 does."""
        for block in _blocks(self):
            block.conv1.conv = Shift(block.conv1.conv, frames)
        return self


def _middle(inputs, outputs, area=9):
    return 3 * area * inputs * outputs // (area * inputs + 3 * outputs)


class Conv2Plus1D(nn.Sequential):
    """torchvision's: spatial convolution, BatchNorm, ReLU, temporal convolution."""

    def __init__(self, inputs, outputs, middle, stride, epsilon):
        super().__init__(
            nn.Conv3d(inputs, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
            nn.BatchNorm3d(middle, epsilon),
            nn.ReLU(),
            nn.Conv3d(middle, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
        )


class R2Plus1D(nn.Module):
    """As torchvision names it. `own_middle` and `epsilon` make it the network of IG-65M and TSP's
    34 layers.
    """

    def __init__(self, sizes, own_middle=False, epsilon=1e-5, widths=(64, 128, 256, 512)):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(45, epsilon),
            nn.ReLU(),
            nn.Conv3d(45, widths[0], (3, 1, 1), 1, (1, 0, 0), bias=False),
            nn.BatchNorm3d(widths[0], epsilon),
            nn.ReLU(),
        )

        def block(inputs, width, stride):
            return VideoBlock(inputs, width, stride, own_middle, epsilon)

        _stages(self, block, sizes, widths)
        self.fc = nn.Linear(widths[-1], 10)

    def forward(self, x):
        return _through(self, self.stem(x))


class VideoBlock(nn.Module):
    def __init__(self, inputs, width, stride, own_middle, epsilon):
        super().__init__()
        first = _middle(inputs, width)
        second = _middle(width, width) if own_middle else first
        self.conv1 = nn.Sequential(
            Conv2Plus1D(inputs, width, first, stride, epsilon),
            nn.BatchNorm3d(width, epsilon),
            nn.ReLU(),
        )
        self.conv2 = nn.Sequential(
            Conv2Plus1D(width, width, second, 1, epsilon), nn.BatchNorm3d(width, epsilon)
        )

        def projection(inputs, outputs, stride):
            conv = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            return nn.Sequential(conv, nn.BatchNorm3d(outputs, epsilon))

        self.downsample = _shortcut(projection, inputs, width, stride)

    def forward(self, x):
        y = self.conv2(self.conv1(x))
        return (y + self.downsample(x)).relu()


class Conv2plus1d(nn.Module):
    """mmaction2's: its own BatchNorm keeps the default epsilon."""

    def __init__(self, inputs, outputs, time, space, stride_t, stride):
        super().__init__()
        middle = _middle(inputs, outputs, space * space)
        self.conv_s = nn.Conv3d(
            inputs,
            middle,
            (1, space, space),
            (1, stride, stride),
            (0, space // 2, space // 2),
            bias=False,
        )
        self.bn_s = nn.BatchNorm3d(middle)
        self.conv_t = nn.Conv3d(
            middle, outputs, (time, 1, 1), (stride_t, 1, 1), (time // 2, 0, 0), bias=False
        )

    def forward(self, x):
        return self.conv_t(self.bn_s(self.conv_s(x)).relu())


def _split_module(inputs, outputs, time, space, stride_t, stride):
    conv = Conv2plus1d(inputs, outputs, time, space, stride_t, stride)
    return ConvModule(conv, nn.BatchNorm3d(outputs, 1e-3))


def _split_projection(inputs, outputs, stride):
    return _split_module(inputs, outputs, 1, 1, stride, stride)


class MMVideoBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = _split_module(inputs, width, 3, 3, stride, stride)
        self.conv2 = _split_module(width, width, 3, 3, 1, 1)
        self.downsample = _shortcut(_split_projection, inputs, width, stride)

    def forward(self, x):
        y = self.conv2(self.conv1(x).relu())
        return (y + self.downsample(x)).relu()


class MMR2Plus1D(nn.Module):
    """As mmaction2 names it and builds it."""

    def __init__(self, sizes, widths=(64, 128, 256, 512)):
        super().__init__()
        self.conv1 = _split_module(3, widths[0], 3, 7, 1, 2)
        self.maxpool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        _stages(self, MMVideoBlock, sizes, widths)

    def forward(self, x):
        return _through(self, self.maxpool(self.conv1(x).relu()))


def randomise(network, seed):
    """Random statistics and parameters of every BatchNorm; variances small enough to show a wrong
    epsilon.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        return tensor.uniform_(low, high, generator=generator)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                uniform(module.weight, 0.5, 1.5)
                uniform(module.bias, -0.5, 0.5)
                uniform(module.running_mean, -0.5, 0.5)
                uniform(module.running_var, 0.05, 1.0)
    return network.eval()
