"""TSM-ResNet and G-TAD in plain PyTorch as one would write them for speed; the names are the public
checkpoints'.
"""

import torch
import torch_encoders
from torch import nn
from torch.nn import functional

DEPTHS = {
    "tsm_resnet18": ((2, 2, 2, 2), torch_encoders.Basic),
    "tsm_resnet50": ((3, 4, 6, 3), torch_encoders.Bottleneck),
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Shift(nn.Module):
    """Before `net`: the first 1/8 of the channels from the next frame, the second from the previous
    one.
    """

    def __init__(self, net: nn.Module, frames: int):
        super().__init__()
        self.net, self.frames = net, frames

    def forward(self, x):
        fold = x.shape[1] // 8
        x = x.unflatten(0, (-1, self.frames))
        moved = torch.zeros_like(x)
        moved[:, :-1, :fold] = x[:, 1:, :fold]
        moved[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
        moved[:, :, 2 * fold :] = x[:, :, 2 * fold :]
        return self.net(moved.flatten(0, 1))


class TSM(nn.Module):
    """Snippets (N, T, H, W, 3) uint8 -> features (N, C). BatchNorm is frozen; in channels_last, as
    the frames lie.
    """

    def __init__(self, name: str, frames: int):
        super().__init__()
        self.resnet = torch_encoders.ResNet(*DEPTHS[name])
        self.resnet.fc = nn.Identity()
        for i in range(4):
            for block in getattr(self.resnet, f"layer{i + 1}"):
                block.conv1 = Shift(block.conv1, frames)
        self.register_buffer("scale", 1 / (255 * torch.tensor(STD)[:, None, None]))
        self.register_buffer("offset", -(torch.tensor(MEAN) / torch.tensor(STD))[:, None, None])
        self.to(memory_format=torch.channels_last).eval()

    def forward(self, frames):
        x = frames.flatten(0, 1).permute(0, 3, 1, 2)
        x = self.resnet(x * self.scale + self.offset)
        return x.unflatten(0, frames.shape[:2]).float().mean(1)


def nearest(x: torch.Tensor, k: int) -> torch.Tensor:
    """The features (B, C, L, k) of the k snippets nearest to each of (B, C, L), itself among
    them.
    """
    points = x.detach().float().transpose(1, 2)
    index = torch.cdist(points, points).topk(k, largest=False)[1]
    index = index.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.gather(2, index).unflatten(2, (x.shape[2], k))


class GCNeXt(nn.Module):
    def __init__(self, channels: int = 256, width: int = 128, groups: int = 32, k: int = 3):
        super().__init__()
        self.k = k

        def streams(conv, inputs, kernel):
            middle = conv(width, width, kernel, padding=kernel // 2, groups=groups)
            layers = conv(inputs, width, 1), middle, conv(width, channels, 1)
            return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])

        self.tconvs = streams(nn.Conv1d, channels, 3)
        self.sconvs = streams(nn.Conv2d, 2 * channels, 1)

    def forward(self, x):
        near = nearest(x, min(self.k, x.shape[2]))
        pair = torch.cat([near, x[..., None].expand_as(near)], dim=1)
        return torch.relu(x + self.tconvs(x) + self.sconvs(pair).max(dim=-1)[0])


class GTAD(nn.Module):
    """Features (B, L, D) -> logits; every anchor's (channels x bins) are one product with the
    sampling matrix.

    Args:
        inner, context: the matrices, (L, bins, anchors).
    """

    def __init__(self, dim: int, inner: torch.Tensor, context: torch.Tensor, channels: int = 256):
        super().__init__()
        self.bins = inner.shape[1], context.shape[1]
        self.register_buffer("inner", inner.flatten(1), persistent=False)
        self.register_buffer("context", context.flatten(1), persistent=False)
        conv = nn.Conv1d(dim, channels, 3, padding=1, groups=4)
        self.backbone1 = nn.Sequential(conv, nn.ReLU(), GCNeXt(channels))
        self.backbone2 = nn.Sequential(GCNeXt(channels))
        self.regu_s, self.regu_e = (
            nn.Sequential(GCNeXt(channels), nn.Conv1d(channels, 1, 1)) for _ in range(2)
        )
        widths = (channels * sum(self.bins), 512, 128, 128, 128)
        layers = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv1d(inputs, outputs, 1), nn.ReLU()]
        self.localization = nn.Sequential(*layers, nn.Conv1d(widths[-1], 2, 1))

    def forward(self, features):
        base = self.backbone1(features.transpose(1, 2))
        x = self.backbone2(base)
        context = nearest(x, min(3, x.shape[2])).mean(dim=-1)
        sampled = zip((x, context), (self.inner, self.context), self.bins, strict=True)
        aligned = torch.cat([(y @ m.to(y.dtype)).unflatten(2, (n, -1)) for y, m, n in sampled], 2)
        maps = self.localization(aligned.flatten(1, 2))
        return {
            "start": self.regu_s(base)[:, 0],
            "end": self.regu_e(base)[:, 0],
            "regression": maps[:, 0],
            "classification": maps[:, 1],
        }


def loss(outputs, labels) -> dict[str, torch.Tensor]:
    """The terms of G-TAD's loss, in float32."""
    outputs = {name: x.float() for name, x in outputs.items()}
    ious = labels["ious"]
    return {
        "start": _balanced(outputs["start"], labels["start"], 0.5),
        "end": _balanced(outputs["end"], labels["end"], 0.5),
        "classification": _balanced(outputs["classification"], ious, 0.9),
        "regression": 10 * _sampled(outputs["regression"].sigmoid(), ious),
    }


def _balanced(logits, labels, threshold):
    positive = labels > threshold
    halves = (functional.logsigmoid(logits), positive), (functional.logsigmoid(-logits), ~positive)
    return -0.5 * sum(_mean(x, chosen) for x, chosen in halves)


def _sampled(predictions, ious):
    chosen = high = ious > 0.7
    for group in ((ious > 0.3) & (ious <= 0.7), (ious > 0) & (ious <= 0.3)):
        chosen = chosen | (group & (torch.rand_like(ious) * group.sum() < high.sum()))
    return 0.5 * _mean((predictions - ious).square(), chosen)


def _mean(values, chosen):
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
