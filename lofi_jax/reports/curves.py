"""Training curves: one panel per stage, with losses and learning rate over the steps, and the
accuracy, where there is one, below.
"""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from lofi_jax.errors import UserError
from lofi_jax.files import aside

# Okabe and Ito's palette, made for colour-blind readers; black is for the first curve.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
_RATE, _ACCURACY = "learning_rate", "accuracy"
_WIDE_RANGE = 20  # ratio from which a log scale shows more
_SMALL = 8  # points

_Line = tuple[np.ndarray, np.ndarray]  # steps and values, (N,) float64 each


def draw(path: str | os.PathLike, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Writes the image that `figure` makes to a PNG file."""
    with aside(path) as unfinished:
        figure(curves).savefig(unfinished, format="png")


def figure(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draws each stage's values as a faint line under their running mean.

    Args:
        curves: for each stage, what was logged: {"step": int, name: value, ...}. "learning_rate"
            gets an axis of its own, "accuracy" (0..1) a panel. Names may come and go; values that
            are not finite are left out. The first loss is drawn in black.

    Raises:
        UserError: there is no stage.
    """
    if not curves:
        raise UserError("no training curves: no stage has logged anything; train one first")
    columns = min(2, len(curves))
    rows = math.ceil(len(curves) / columns)
    fig = Figure((4.8 * columns, 3.1 * rows), dpi=150, layout="constrained")
    FigureCanvasAgg(fig)
    parts = fig.subfigures(rows, columns, squeeze=False).ravel()
    for part, (stage, entries) in zip(parts, curves.items(), strict=False):
        _draw_stage(part, stage, _series(entries))
    return fig


def _draw_stage(part: SubFigure, stage: str, series: dict[str, _Line]) -> None:
    rate = series.pop(_RATE, None)
    accuracy = series.pop(_ACCURACY, None)
    axes, *below = _panels(part, accuracy is not None)
    axes.set_title(stage, fontsize=_SMALL + 1, fontweight="bold", loc="left", parse_math=False)
    (below[0] if below else axes).set_xlabel("step", fontsize=_SMALL)
    if not series:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "nothing logged", transform=axes.transAxes, ha="center", size=_SMALL)
        return
    for i, (name, line) in enumerate(series.items()):
        _draw_line(axes, name, line, _COLOURS[i % len(_COLOURS)])
    every = np.concatenate([values for _, values in series.values()])
    wide = every.min() > 0 and every.max() > _WIDE_RANGE * every.min()
    axes.set_ylabel("loss (log scale)" if wide else "loss", fontsize=_SMALL)
    if wide:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    lines = axes.get_lines()[1::2]
    if rate is not None:
        lines = [*lines, *_draw_rate(axes, rate)]
    # Outside, where no line crosses it.
    look: dict[str, Any] = {"fontsize": _SMALL - 1, "frameon": False, "ncols": 3}
    legend = part.legend(handles=lines, loc="outside lower center", **look)
    for text in legend.get_texts():
        text.set_parse_math(False)
    if accuracy is not None:
        steps, values = accuracy
        _draw_line(below[0], _ACCURACY, (steps, 100 * values), _COLOURS[0])
        below[0].set_ylabel("accuracy (%)", fontsize=_SMALL)
        below[0].set_ylim(0, 105)


def _panels(part: SubFigure, two: bool) -> list[Axes]:
    """The panel of the losses, and below it, over the same steps, that of the accuracy."""
    made = part.subplots(1 + two, 1, sharex=True, squeeze=False, height_ratios=(5, 2)[: 1 + two])
    panels = list(made.ravel())
    for axes in panels:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
        axes.tick_params(labelsize=_SMALL)
        axes.spines[["top", "right"]].set_visible(False)
    return panels


def _draw_line(axes: Axes, name: str, line: _Line, colour: str) -> None:
    steps, values = line
    look: dict[str, Any] = {"color": colour, "marker": "." if len(steps) == 1 else ""}
    axes.plot(steps, values, linewidth=0.6, alpha=0.3, **look)
    axes.plot(steps, _smooth(values), linewidth=1.4, label=name, **look)


def _draw_rate(axes: Axes, rate: _Line) -> list[Line2D]:
    behind = axes.twinx()
    behind.spines["top"].set_visible(False)
    behind.spines["right"].set_color("grey")
    behind.set_ylabel("learning rate", fontsize=_SMALL, color="grey")
    behind.plot(*rate, linewidth=1, linestyle=":", color="grey", label="learning rate")
    behind.set_ylim(0, 1.05 * max(rate[1].max(), 1e-12))
    behind.tick_params(labelsize=_SMALL, colors="grey")
    behind.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    behind.yaxis.get_offset_text().set_fontsize(_SMALL)
    return list(behind.get_lines())


def _series(entries: Sequence[Mapping[str, float]]) -> dict[str, _Line]:
    """The finite values of every name that has any."""
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name != "step" and math.isfinite(value):
                found.setdefault(name, []).append((entry["step"], value))
    columns = {name: np.array(points, float).T for name, points in found.items()}
    return {name: (steps, values) for name, (steps, values) in columns.items()}


def _smooth(values: np.ndarray) -> np.ndarray:
    """The running mean over about a twentieth of the points, cut off at the ends."""
    reach = len(values) // 40
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(values))
    return (total[high] - total[low]) / (high - low)
