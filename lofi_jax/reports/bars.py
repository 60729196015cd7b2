"""A study's rows as bars: mean and standard deviation over seeds, and each seed's result."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lofi_jax.files import aside
from lofi_jax.reports.tables import row_name

# Blue and orange of Okabe and Ito's palette, which colour-blind readers tell apart.
_MEASURES = (("average mAP", "#0072B2"), ("class-agnostic average mAP", "#E69F00"))
_SMALL = 8  # points


def draw(path: str | os.PathLike, runs: Sequence[Mapping], title: str) -> None:
    """Writes a PNG of the runs' rows.

    Args:
        path: the file.
        runs: for each seed what results.json holds, the same rows in the same order.
        title: what the bars show.
    """
    rows = runs[0]["rows"]
    fig = Figure((7.0, 0.6 + 0.45 * len(rows)), dpi=150, layout="constrained")
    FigureCanvasAgg(fig)
    axes = fig.add_subplot()
    for shift, (name, colour) in zip((-0.19, 0.19), _MEASURES, strict=True):
        found = 100 * np.array([[_value(row, name) for row in run["rows"]] for run in runs])
        at = np.arange(len(rows)) + shift
        error = found.std(axis=0, ddof=1) if len(runs) > 1 else None
        axes.barh(at, found.mean(axis=0), 0.36, xerr=error, color=colour, alpha=0.75, label=name)
        axes.plot(found.T, at[:, None].repeat(len(runs), axis=1), ".", color="black", markersize=3)
    axes.set_yticks(range(len(rows)), [row_name(row) for row in rows], fontsize=_SMALL)
    axes.invert_yaxis()
    axes.set_xlabel("percent", fontsize=_SMALL)
    axes.set_title(title, fontsize=_SMALL + 1, loc="left")
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    # Above the bars, where it hides none.
    axes.legend(fontsize=_SMALL, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    with aside(path) as unfinished:
        fig.savefig(unfinished, format="png")


def _value(row: Mapping, measure: str) -> float:
    return (row if measure == "average mAP" else row["class_agnostic"])["average_mAP"]
