"""G-TAD and BMN in plain PyTorch, written out literally: every anchor is sampled one sample at a
time.

The parameters bear the names that the public checkpoints use.
"""

import math

import numpy as np
import torch
from torch import nn


def nearest(x: torch.Tensor, k: int) -> torch.Tensor:
    """The features (B, C, L, k) of the k snippets nearest to each of (B, C, L), itself among
    them.
    """
    distance = torch.cdist(x.transpose(1, 2), x.transpose(1, 2))
    index = distance.topk(k, largest=False)[1]
    return torch.stack([video[:, i] for video, i in zip(x, index, strict=True)])


class GCNeXt(nn.Module):
    def __init__(self, channels: int, width: int, groups: int, k: int):
        super().__init__()
        self.k = k
        self.tconvs = nn.Sequential(
            nn.Conv1d(channels, width, 1),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1, groups=groups),
            nn.ReLU(),
            nn.Conv1d(width, channels, 1),
        )
        self.sconvs = nn.Sequential(
            nn.Conv2d(2 * channels, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 1, groups=groups),
            nn.ReLU(),
            nn.Conv2d(width, channels, 1),
        )

    def forward(self, x):
        near = nearest(x, self.k)
        pair = torch.cat([near, x[..., None].expand_as(near)], dim=1)
        return torch.relu(x + self.tconvs(x) + self.sconvs(pair).max(dim=-1)[0])


def align(x: torch.Tensor, low: float, high: float, bins: int) -> torch.Tensor:
    """SGAlign of one anchor: features (C, L) -> (C, bins)."""
    snippets = x.shape[1]
    size = max(high - low, 1.0) / bins
    count = math.ceil(size)
    out = []
    for b in range(bins):
        total = torch.zeros(x.shape[0])
        for i in range(count):
            at = low + b * size + (i + 0.5) * size / count
            if at < -1 or at > snippets:
                continue
            at = min(max(at, 0.0), snippets - 1.0)
            left = int(at)
            right = min(left + 1, snippets - 1)
            total = total + x[:, left] * (1 - (at - left)) + x[:, right] * (at - left)
        out.append(total / count)
    return torch.stack(out, dim=1)


class GTAD(nn.Module):
    """(B, D, L) -> maps (B, 2, durations, L), start (B, L) and end (B, L), all after the
    sigmoid.
    """

    def __init__(self, dim, channels, widths, bins, groups, group_width, k, durations, kernel):
        super().__init__()
        self.bins, self.k, self.durations = bins, k, durations

        def block():
            return GCNeXt(channels, groups * group_width, groups, k)

        def branch():
            return nn.Sequential(block(), nn.Conv1d(channels, 1, 1), nn.Sigmoid())

        self.backbone1 = nn.Sequential(
            nn.Conv1d(dim, channels, 3, padding=1, groups=4), nn.ReLU(), block()
        )
        self.regu_s, self.regu_e = branch(), branch()
        self.backbone2 = nn.Sequential(block())
        self.localization = nn.Sequential(
            nn.Conv2d(channels * sum(bins), widths[0], 1),
            nn.ReLU(),
            nn.Conv2d(widths[0], widths[1], 1),
            nn.ReLU(),
            nn.Conv2d(widths[1], widths[2], kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.Conv2d(widths[2], widths[3], kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.Conv2d(widths[3], 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, features):
        base = self.backbone1(features)
        x = self.backbone2(base)
        context = nearest(x, self.k).mean(dim=-1)
        maps = self.localization(
            torch.stack([self.aligned(*video) for video in zip(x, context, strict=True)])
        )
        return maps, self.regu_s(base)[:, 0], self.regu_e(base)[:, 0]

    def aligned(self, x, context):
        """(C, L), (C, L) -> (C x bins, durations, L); the channel changes slowest."""
        snippets = x.shape[1]
        rows = []
        for duration in range(self.durations):
            row = []
            for start in range(snippets):
                low = high = 0.0
                if start + duration < snippets:
                    low = start - (duration + 1) / 2
                    high = start + duration + (duration + 1) / 2
                inner = align(x, low, high, self.bins[0])
                row.append(torch.cat([inner, align(context, low, high, self.bins[1])], 1).flatten())
            rows.append(torch.stack(row, dim=1))
        return torch.stack(rows, dim=1)


class BMN(nn.Module):
    """(B, D, L) -> maps (B, 2, L, L), start (B, L) and end (B, L), all after the sigmoid."""

    def __init__(self, dim, channels, widths, bins, samples, snippets, layout):
        super().__init__()
        mask = torch.from_numpy(sample_mask(snippets, bins, samples, layout))
        self.sample_mask = nn.Parameter(mask.reshape(snippets, -1), requires_grad=False)
        self.shape = (channels, bins, snippets, snippets)

        def conv(inputs, outputs, groups=4):
            return nn.Conv1d(inputs, outputs, 3, padding=1, groups=groups)

        def branch():
            return nn.Sequential(
                conv(channels, channels), nn.ReLU(), nn.Conv1d(channels, 1, 1), nn.Sigmoid()
            )

        self.x_1d_b = nn.Sequential(
            conv(dim, channels), nn.ReLU(), conv(channels, channels), nn.ReLU()
        )
        self.x_1d_s, self.x_1d_e = branch(), branch()
        self.x_1d_p = nn.Sequential(conv(channels, channels, groups=1), nn.ReLU())
        self.x_3d_p = nn.Sequential(nn.Conv3d(channels, widths[0], (bins, 1, 1)), nn.ReLU())
        self.x_2d_p = nn.Sequential(
            nn.Conv2d(widths[0], widths[1], 1),
            nn.ReLU(),
            nn.Conv2d(widths[1], widths[2], 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(widths[2], widths[3], 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(widths[3], 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, features):
        base = self.x_1d_b(features)
        x = self.x_1d_p(base) @ self.sample_mask
        maps = self.x_2d_p(self.x_3d_p(x.reshape(-1, *self.shape)).squeeze(2))
        return maps, self.x_1d_s(base)[:, 0], self.x_1d_e(base)[:, 0]


def sample_mask(snippets: int, bins: int, samples: int, layout: str) -> np.ndarray:
    """The boundary-matching weights (L, bins, rows, columns) of a map laid out "start_end" or
    "duration_start".
    """
    mask = np.zeros((snippets, bins, snippets, snippets), np.float32)
    for start in range(snippets):
        for last in range(start, snippets):
            high = last + 1 if layout == "start_end" else last
            extension = (high - start + 1) / 2
            cell = (start, last) if layout == "start_end" else (last - start, start)
            points = np.linspace(start - extension, high + extension, bins * samples)
            for i, point in enumerate(points):
                # The fractional part of a negative number is negative: the public code samples so.
                fraction, whole = math.modf(point)
                for at, weight in ((int(whole), 1 - fraction), (math.ceil(point), fraction)):
                    if 0 <= at < snippets:
                        mask[at, i // samples, *cell] += weight / samples
    return mask


def cells(snippets: int, rows: int, layout: str) -> list[tuple[int, int, int, int]]:
    """Row, column, start and exclusive end of every anchor, by duration and then by start."""
    return [
        (s, s + d - 1, s, s + d) if layout == "start_end" else (d - 1, s, s, s + d)
        for d in range(1, rows + 1)
        for s in range(snippets - d + 1)
    ]


def targets(segments: list, snippets: int, rows: int, layout: str, cell: tuple[float, float]):
    """A video's tIoU map (rows, L), its mask, and start and end labels (L,), as G-TAD's and BMN's
    data loaders do.

    Args:
        segments: (start, end) in units of the video.
        cell: what of the video, in snippets, stands for snippet 0 when boundaries are labelled:
            (-0.5, 1.5) in G-TAD for ActivityNet and in mmaction2, (-0.5, 0.5) in BMN's port and in
            G-TAD for THUMOS14.
    """
    ious, mask = torch.zeros(rows, snippets), torch.zeros(rows, snippets)
    for row, column, start, end in cells(snippets, rows, layout):
        a, b = start / snippets, end / snippets
        mask[row, column] = 1
        for s, e in segments:
            overlap = max(min(b, e) - max(a, s), 0.0)
            ious[row, column] = max(float(ious[row, column]), overlap / (b - a + e - s - overlap))
    labels = torch.zeros(2, snippets)
    for segment in segments:
        for label, boundary in zip(labels, segment, strict=True):
            for i in range(snippets):
                # The part of the snippet's cell in a window of three snippets about the boundary.
                low = max((i + cell[0]) / snippets, boundary - 1.5 / snippets)
                high = min((i + cell[1]) / snippets, boundary + 1.5 / snippets)
                part = max(high - low, 0.0) * snippets / (cell[1] - cell[0])
                label[i] = max(float(label[i]), part)
    return ious, mask, labels[0], labels[1]


def loss(
    maps, start, end, ious, mask, gt_start, gt_end, uniform, weights=(1.0, 10.0), extra=0.0
) -> dict[str, torch.Tensor]:
    """The terms of the loss.

    Args:
        uniform: (2, B, rows, L), decides which middle and low cells count.
        weights: of the terms "classification" and "regression".
        extra: positives, and negatives, that the classification counts beside its own.
    """

    def balanced(p, positive, considered, extra=0.0):
        positives = extra + positive.sum()
        entries = extra + positives + ((1 - positive) * considered).sum()
        ratio = entries / positives
        weighted = 0.5 * ratio * torch.log(p + 1e-6) * positive
        weighted = weighted + 0.5 * ratio / (ratio - 1) * torch.log(1 - p + 1e-6) * (1 - positive)
        return -(weighted * considered).sum() / entries

    mask = mask.expand_as(ious)
    high = (ious > 0.7).float()
    middle = ((ious <= 0.7) & (ious > 0.3)).float()
    low = ((ious <= 0.3) & (ious > 0)).float() * mask
    drawn = high
    for group, u in zip((middle, low), uniform, strict=True):
        drawn = drawn + (group * u > 1 - high.sum() / group.sum()).float()
    squared = ((maps[:, 0] - ious) * drawn).square().sum()
    everywhere = torch.ones_like(gt_start)
    return {
        "start": balanced(start, (gt_start > 0.5).float(), everywhere),
        "end": balanced(end, (gt_end > 0.5).float(), everywhere),
        "classification": weights[0] * balanced(maps[:, 1], (ious > 0.9).float(), mask, extra),
        "regression": weights[1] * 0.5 * squared / drawn.sum(),
    }
