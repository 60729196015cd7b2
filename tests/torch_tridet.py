"""TriDet in plain PyTorch, written out literally: each distance is an expectation, one by one.

The parameters bear the names that the public checkpoints use.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch_actionformer import ActionFormer, Norm, Scale, Tower


class Layer(nn.Module):
    def __init__(self, channels, window, factor, hidden, stride, scaled):
        super().__init__()
        wide = round((window + 1) * factor)
        wide += wide % 2 == 0

        def depthwise(kernel):
            return nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)

        self.ln, self.gn = Norm(channels), nn.GroupNorm(16, channels)
        self.psi, self.convw, self.convkw = depthwise(window), depthwise(window), depthwise(wide)
        self.fc, self.global_fc = depthwise(1), depthwise(1)
        self.mlp = nn.Sequential(
            nn.Conv1d(channels, hidden, 1), nn.GELU(), nn.Conv1d(hidden, channels, 1)
        )
        if scaled:
            self.drop_path_out, self.drop_path_mlp = Scale(1, channels, 1), Scale(1, channels, 1)
        self.pool = nn.MaxPool1d(3, stride, 1) if stride > 1 else nn.Identity()
        self.scaled = scaled

    def forward(self, x, real):
        x = self.pool(x)
        y = self.ln(x)
        mean = torch.relu(self.global_fc(y.mean(dim=-1, keepdim=True)))
        y = self.fc(y) * mean + (self.convw(y) + self.convkw(y)) * self.psi(y) + y
        x = x * real + (self.drop_path_out(y) if self.scaled else y)
        y = self.mlp(self.gn(x))
        return x + (self.drop_path_mlp(y) if self.scaled else y)


class TriDet(ActionFormer):
    """(B, D, L) -> for each level, logits (B, T, classes) and distances (B, T, classes, 2), of the
    video's own points.
    """

    def __init__(
        self,
        dim,
        channels,
        stem,
        windows,
        classes,
        positions,
        factor,
        hidden,
        bins,
        towers,
        kernels,
    ):
        super().__init__(dim, channels, 1, 0, windows, classes, positions)
        kernel, boundary = kernels
        self.bins = bins
        self.backbone.stem = nn.ModuleList(
            Layer(channels, 1, factor, hidden, 1, False) for _ in range(stem)
        )
        self.backbone.branch = nn.ModuleList(
            Layer(channels, window, factor, hidden, 2, True) for window in windows[1:]
        )
        self.cls_head = Tower(channels, classes, "cls_head", towers, kernel)
        self.start_head = Tower(channels, classes, "cls_head", towers, boundary)
        self.end_head = Tower(channels, classes, "cls_head", towers, boundary)
        self.reg_head = Tower(channels, 2 * (bins + 1), "offset_head", towers, kernel)
        self.reg_head.scale = nn.ModuleList(Scale() for _ in windows)

    def forward(self, features, length: int):
        """Pads the features to `length` first."""
        logits, distances = [], []
        for i, (x, real) in enumerate(self.pyramid(features, length)):
            own = int(real.sum())
            offsets = torch.relu(self.reg_head.scale[i](self.reg_head(x, real)))
            start, end = self.start_head(x.detach(), real), self.end_head(x.detach(), real)
            logits.append(self.cls_head(x, real)[..., :own].transpose(1, 2))
            distances.append(self.expected(offsets[..., :own], start, end))
        return logits, distances

    def expected(self, offsets, start, end):
        """(B, 2 (bins + 1), T) and (B, classes, T) twice -> (B, T, classes, 2)."""
        videos, _, points = offsets.shape
        classes, length = start.shape[1:]
        out = torch.zeros(videos, points, classes, 2)
        for video in range(videos):
            for t in range(points):
                for c in range(classes):
                    for side, logits in enumerate((start, end)):
                        weights = []
                        for n in range(self.bins + 1):
                            at = t - n if side == 0 else t + n
                            there = logits[video, c, at] if 0 <= at < length else 0.0
                            place = self.bins - n if side == 0 else self.bins + 1 + n
                            weights.append(torch.exp(there + offsets[video, place, t]))
                        mean = sum(n * w for n, w in enumerate(weights)) / sum(weights)
                        out[video, t, c, side] = mean
        return out


def loss(logits, distances, classes, wanted, smoothing: float, power: float):
    """The terms of the loss, from all levels' outputs joined and the targets of every point."""
    number = max(int((classes.max(dim=-1)[0] > 0).sum()), 1)
    labels = classes * (1 - smoothing) + smoothing / (classes.shape[-1] + 1)
    p = torch.sigmoid(logits)
    right = p * labels + (1 - p) * (1 - labels)
    entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    focal = (0.25 * labels + 0.75 * (1 - labels)) * (1 - right) ** 2 * entropy
    regression, classification = 0.0, focal[classes == 0].sum()
    for video, point, c in zip(*torch.where(classes > 0), strict=True):
        (a, b), (s, e) = distances[video, point, c], wanted[video, point]
        overlap = torch.minimum(a, s) + torch.minimum(b, e)
        tiou = overlap / (a + b + s + e - overlap)
        around = torch.maximum(a, s) + torch.maximum(b, e)
        regression = regression + 1 - tiou + ((b - a - e + s) / 2 / around) ** 2
        classification = classification + tiou**power * focal[video, point, c]
    return {"classification": classification / number, "regression": regression / number}
