"""A diagnosis as text and plots: errors by type and their cost, and how well each kind of instance
is found.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lofi_jax.reports.tables import align, percent

# Okabe and Ito's palette, made for colour-blind readers, in the order of `false_positives.TYPES`.
_COLOURS = ("#009E73", "#56B4E9", "#E69F00", "#CC79A7", "#D55E00", "#7F7F7F")
_BAR = "#0072B2"
_SMALL = 8  # points
KINDS = {
    "coverage": "coverage (part of the video)",
    "length": "length (s)",
    "number": "instances in the video",
    "context": "context (free time / length)",
}


def text(result: Mapping) -> str:
    """The tables of a diagnosis, in percent.

    Args:
        result: from `detection.diagnosis.diagnose`.
    """
    errors, instances = error_rows(result), instance_rows(result)
    return f"{align(errors, words=1)}\n\n{align(instances, words=3)}"


def error_rows(result: Mapping) -> list[list[str]]:
    """A head, and for each type of prediction its share of the top 10G and the gain from fixing
    it.
    """
    found = result["false_positives"]
    shares = found["by_tiou"].values()
    rows = [["top 10G predictions", "share", "gain in mAP_N"]]
    for name in next(iter(shares)):
        gain = f"{100 * found['gain'][name]:+.2f}" if name in found["gain"] else ""
        rows.append([name, percent(float(np.mean([part[name] for part in shares]))), gain])
    return rows


def instance_rows(result: Mapping) -> list[list[str]]:
    """A head, and for each kind and bucket of instances their number, the share that is missed, and
    the mAP_N.
    """
    rows = [["instances", "", "", "number", "missed", "mAP_N"]]
    for kind, buckets in result["instances"].items():
        for row in buckets:
            measures = [percent(row["missed"]), percent(row["average_mAP_N"])]
            rows.append([kind, row["bucket"], _range(row), str(row["instances"]), *measures])
    total = str(sum(row["instances"] for row in next(iter(result["instances"].values()))))
    overall = [percent(result["missed"]), percent(result["average_mAP_N"])]
    return [*rows, ["all", "", "", total, *overall]]


def false_positives(result: Mapping) -> Figure:
    """Each tenth of the top 10G predictions by type, and what the mAP_N would gain from fixing each
    type.
    """
    found = result["false_positives"]
    names = list(found["gain"])
    fig = _figure(8.0, 3.4)
    left, right = fig.subplots(1, 2, width_ratios=(3, 2))
    bottom = np.zeros(len(found["by_rank"]))
    at = np.arange(1, len(bottom) + 1)
    for name, colour in zip(("true positive", *names), _COLOURS, strict=True):
        shares = 100 * np.array([part[name] for part in found["by_rank"]])
        left.bar(at, shares, 0.85, bottom, color=colour, label=name)
        bottom += shares
    left.set(xlabel="the best G predictions of every class, the next G, ...", ylabel="percent")
    left.set_xticks(at, [f"{i}G" for i in at])
    left.set_ylim(0, 100)
    _title(left, "predictions by type")
    right.barh(range(len(names)), [100 * found["gain"][n] for n in names], color=_COLOURS[1:])
    right.set_yticks(range(len(names)), names)
    right.invert_yaxis()
    _write(right, [100 * found["gain"][name] for name in names], across=True)
    right.set(xlabel="points of mAP_N")
    _title(right, "gain from fixing")
    legend = fig.legend(fontsize=_SMALL, frameon=False, loc="outside upper center", ncols=6)
    legend.set_in_layout(True)
    return fig


def instances(result: Mapping, measure: str) -> Figure:
    """A measure of every bucket of instances beside that of all.

    Args:
        result: from `detection.diagnosis.diagnose`, with at least one kind of instances.
        measure: "missed" or "average_mAP_N".
    """
    kinds = result["instances"]
    fig = _figure(8.0, 2.6)
    panels = fig.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, (kind, rows) in zip(panels, kinds.items(), strict=True):
        values = [np.nan if row[measure] is None else 100 * row[measure] for row in rows]
        axes.bar(range(len(rows)), np.nan_to_num(values), 0.8, color=_BAR)
        _write(axes, values)
        names = [f"{row['bucket']}\n{_upper_edge(row)}" for row in rows]
        axes.set_xticks(range(len(rows)), names, fontsize=_SMALL - 2)
        axes.axhline(100 * result[measure], color="black", linewidth=0.8, linestyle="--")
        _title(axes, KINDS[kind])
    panels[0].set_ylim(0, 1.1 * panels[0].get_ylim()[1])
    panels[0].set_ylabel({"missed": "missed, percent"}.get(measure, "mAP_N, percent"))
    return fig


def _range(row: Mapping) -> str:
    low = f"{row['from']:.3g}"
    return f"> {low}" if row["to"] is None else f"{low}-{row['to']:.3g}"


def _upper_edge(row: Mapping) -> str:
    """As short as there is room for beside the others'."""
    edge = row["from"] if row["to"] is None else row["to"]
    return ("> " if row["to"] is None else "≤ ") + (f"{edge:.2g}" if edge < 100 else f"{edge:.0f}")


def _figure(width: float, height: float) -> Figure:
    fig = Figure((width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(fig)
    return fig


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=_SMALL, fontweight="bold", loc="left")
    axes.tick_params(axis="y", labelsize=_SMALL)
    axes.xaxis.label.set_fontsize(_SMALL)
    axes.yaxis.label.set_fontsize(_SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def _write(axes: Axes, values: Sequence[float], across: bool = False) -> None:
    """Each bar's value at its end, over any line there."""
    for i, value in enumerate(values):
        label = "none" if np.isnan(value) else f"{value:.1f}"
        at = (max(value, 0), i) if across else (i, np.nan_to_num(value))
        align: dict[str, Any] = (
            {"va": "center", "ha": "left"} if across else {"ha": "center", "va": "bottom"}
        )
        text = axes.annotate(
            label, at, (2, 0) if across else (0, 2), textcoords="offset points", fontsize=6, **align
        )
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    if across:
        axes.margins(x=0.15)
