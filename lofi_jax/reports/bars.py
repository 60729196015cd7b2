"""A study's rows as bars: the mean over seeds, its interval, and each seed's result."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lofi_jax.files import aside
from lofi_jax.reports.tables import row_name

# Blue and orange of Okabe and Ito's palette, which colour-blind readers tell apart.
_MEASURES = (("average mAP", "#0072B2"), ("class-agnostic average mAP", "#E69F00"))
_SMALL = 8  # points


# Student's t at 97.5 percent, by the number of seeds; the last serves for more.
_T = {3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


def draw(path: str | os.PathLike, runs: Sequence[Mapping], title: str) -> None:
    """Writes a PNG of the runs' rows.

    Args:
        path: the file.
        runs: for each seed what results.json holds, the same rows in the same order.
        title: what the bars show.
    """
    with aside(path) as unfinished:
        figure(runs, title).savefig(unfinished, format="png")


def figure(runs: Sequence[Mapping], title: str) -> Figure:
    """Draws a bar per row and measure, to the mean over the runs, with each run as a dot.

    Whiskers are `interval`.

    Args:
        runs, title: see `draw`.
    """
    rows = runs[0]["rows"]
    fig = Figure((7.0, 0.9 + 0.45 * len(rows)), dpi=150, layout="constrained")
    FigureCanvasAgg(fig)
    axes = fig.add_subplot()
    for shift, (name, colour) in zip((-0.19, 0.19), _MEASURES, strict=True):
        found = 100 * np.array([[_value(row, name) for row in run["rows"]] for run in runs])
        at = np.arange(len(rows)) + shift
        mean = found.mean(axis=0)
        axes.barh(at, mean, 0.36, color=colour, alpha=0.75, label=name)
        if len(runs) > 1:
            look: dict[str, Any] = {"color": "#555555", "elinewidth": 1, "capsize": 2.5}
            axes.errorbar(mean, at, xerr=interval(found), fmt="none", **look)
        dots = at[None] + np.linspace(-0.1, 0.1, len(runs) + 2)[1:-1, None]
        axes.plot(found, dots, "o", color="black", ms=3.2, mec="white", mew=0.4)
    axes.set_yticks(range(len(rows)), [row_name(row) for row in rows], fontsize=_SMALL)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, min(axes.get_xlim()[1], 102))
    axes.set_xlabel("average mAP (%)", fontsize=_SMALL)
    # Over the whole width: row names may leave the bars little.
    fig.supxlabel(_caption(len(runs)), fontsize=_SMALL)
    axes.set_title(title, fontsize=_SMALL + 1, loc="left")
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    # Above the bars, where it hides none.
    fig.legend(fontsize=_SMALL, frameon=False, loc="outside upper right", ncols=2)
    return fig


def interval(values: np.ndarray) -> np.ndarray:
    """How far the whiskers reach below and above the mean, (2, R).

    Args:
        values: (S, R), S seeds of R rows: of two seeds, the whiskers reach both; of more, they are
            the 95 percent interval of the mean by Student's t.
    """
    seeds = len(values)
    mean = values.mean(axis=0)
    if seeds == 2:
        return np.stack([mean - values.min(axis=0), values.max(axis=0) - mean])
    t = _T[min(seeds, max(_T))]
    return np.tile(t * values.std(axis=0, ddof=1) / np.sqrt(seeds), (2, 1))


def _caption(seeds: int) -> str:
    if seeds == 1:
        return "one seed"
    whiskers = "from one to the other" if seeds == 2 else "95 % interval (Student's t)"
    return f"bars: mean of {seeds} seeds; dots: single seeds; whiskers: {whiskers}"


def _value(row: Mapping, measure: str) -> float:
    return (row if measure == "average mAP" else row["class_agnostic"])["average_mAP"]
