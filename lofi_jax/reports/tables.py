"""Tables as aligned plain text."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

_BASELINE = "acp"
_TIOUS = ("0.50", "0.75", "0.95")


def results(results: Mapping) -> str:
    """One line per row of `results.json`, then each row's lead over the frozen baseline.

    Args:
        results: {"rows": [{"start", "fidelity", "head", "average_mAP", "mAP": {tIoU: mAP}}]},
            and in a row also "class_agnostic": {"average_mAP"}; mAP as fractions. Where the tIoUs
            0.50, 0.75 and 0.95 are not all there, as on THUMOS14, the table shows all there are.
    """
    rows = results["rows"]
    known = sorted({tiou for row in rows for tiou in row["mAP"]}, key=float)
    tious = _TIOUS if set(_TIOUS) <= set(known) else known
    head = ["start", "fidelity", "head", *(f"mAP@{tiou}" for tiou in tious), "average"]
    lines = [
        [
            *(row["start"], row["fidelity"], row["head"]),
            *(percent(row["mAP"].get(tiou)) for tiou in tious),
            percent(row["average_mAP"]),
            percent(row.get("class_agnostic", {}).get("average_mAP")),
        ]
        for row in rows
    ]
    table = align([[*head, "class-agnostic"], *lines], words=3)
    return "\n".join([table, *_leads(rows)])


def study(runs: Sequence[Mapping]) -> str:
    """One line per row: mean and standard deviation over the runs, and of the lead over the same
    head's frozen row.

    Args:
        runs: for each seed what `results.json` holds, the same rows in the same order.
    """
    rows = runs[0]["rows"]
    frozen = {row["head"]: i for i, row in enumerate(rows) if row["start"] == _BASELINE}
    found = np.array([[row["average_mAP"] for row in run["rows"]] for run in runs])
    agnostic = np.array([[r["class_agnostic"]["average_mAP"] for r in run["rows"]] for run in runs])
    lines = [["start", "fidelity", "head", "average", "class-agnostic", f"- {_BASELINE}"]]
    for i, row in enumerate(rows):
        lead, baseline = "-", frozen.get(row["head"], i)
        if i != baseline:
            lead = _spread(found[:, i] - found[:, baseline], "+.1f")
        measures = [_spread(found[:, i], ".1f"), _spread(agnostic[:, i], ".1f")]
        lines.append([row["start"], row["fidelity"], row["head"], *measures, lead])
    return align(lines, words=3)


def metrics(scores: Mapping) -> str:
    """The metrics of a prediction file, in percent.

    Args:
        scores: from `detection.metrics.evaluate`.
    """

    def rows(title: str, heads: Sequence[str], name: str, values: Sequence[float]) -> str:
        head = f"{title:<10}" + "".join(f"{head:>9}" for head in heads)
        return head + f"\n{name:<10}" + "".join(f"{100 * value:9.2f}" for value in values)

    mean_ap, recall = scores["mAP"], scores["AR"]
    return "\n\n".join(
        [
            rows("tIoU", [*mean_ap, "average"], "mAP", [*mean_ap.values(), scores["average_mAP"]]),
            rows("proposals", [*recall, "AUC"], "AR", [*recall.values(), scores["AUC"]]),
        ]
    )


def pooled(results: Mapping) -> str:
    """One line per row: its average mAP, that of localization alone, and its lead over the same
    head's frozen row, with the intervals that hold 95 of 100 samples of the videos.

    Args:
        results: as `folds.pool` gives them.
    """
    lines = [["start", "fidelity", "head", "average", "95%", "class-agnostic"]]
    lines[0] += [f"- {_BASELINE}", "95%"]
    for row in results["rows"]:
        lead, interval = "-", "-"
        if "lead" in row:
            lead, interval = f"{100 * row['lead']:+.1f}", _interval(row["lead_interval"], "+.1f")
        measures = [f"{100 * row['average_mAP']:.1f}", _interval(row["interval"], ".1f")]
        measures.append(f"{100 * row['class_agnostic']['average_mAP']:.1f}")
        lines.append([row["start"], row["fidelity"], row["head"], *measures, lead, interval])
    return align(lines, words=3)


def _interval(fractions: Sequence[float], form: str) -> str:
    return " to ".join(format(100 * fraction, form) for fraction in fractions)


def plan(rows: Sequence[Mapping]) -> str:
    """One line per row of what `lofi_jax.plan` writes, with its work a video, and why compilation
    failed.
    """
    lines = [
        ["fidelity", "dtype", "fits", "frames", "batch_size", "chunk", "temporaries GiB"]
        + ["peak GiB", "TFLOP a step", "a video", "bound s a step"]
    ]
    for row in rows:
        frames = f"{row['snippets']} x {row['height']} x {row['width']}"
        bound = row["bound_seconds"]
        lines.append(
            [row["fidelity"], row["dtype"], "yes" if row["fits"] else "no", frames]
            + [str(row["batch_size"]), str(row["chunk"] or "all")]
            + [_known(row[key], ".2f") for key in ("temporaries_gib", "peak_gib")]
            + [f"{row['tflop']:.3g}", f"{row['tflop'] / row['batch_size']:.3g}"]
            + [_known(bound, ".3g")]
        )
    notes = [
        f"{row['fidelity']}, {row['dtype']}, {row['batch_size']}, {row['chunk'] or 'all'}:"
        f" {row['refused']}"
        for row in rows
        if row["refused"]
    ]
    return "\n".join([align(lines, words=3), *notes])


def _known(number: float | None, form: str) -> str:
    return "-" if number is None or math.isinf(number) else format(number, form)


def row_name(row: Mapping) -> str:
    """A row in a few words, such as "lofi (temporal, gtad)"."""
    parts = [row["fidelity"]] if row["start"] == "lofi" else []
    return f"{row['start']} ({', '.join([*parts, row['head']])})"


def _spread(fractions: np.ndarray, form: str) -> str:
    """Mean and, of several, standard deviation in percent."""
    mean = format(100 * fractions.mean(), form)
    return f"{mean} ± {100 * fractions.std(ddof=1):.1f}" if len(fractions) > 1 else mean


def seconds(seconds: Mapping[str, float]) -> str:
    """One line per stage with the time it took, as h:mm:ss.s, and the total.

    Args:
        seconds: of each stage, in the order to show.
    """
    lines = [[stage, _clock(time)] for stage, time in seconds.items()]
    lines.append(["total", _clock(math.fsum(seconds.values()))])
    return align([["stage", "h:mm:ss.s"], *lines], words=1)


def _leads(rows: Sequence[Mapping]) -> list[str]:
    baseline = next((row for row in rows if row["start"] == _BASELINE), None)
    if baseline is None:
        return []
    starts = [row["start"] for row in rows]
    lines = []
    for row in rows:
        if row is baseline:
            continue
        name = row["start"]
        if starts.count(name) > 1:
            name += f" ({row['fidelity']}, {row['head']})"
        points = 100 * (row["average_mAP"] - baseline["average_mAP"])
        lines.append(f"{name} - {_BASELINE}: {round(points, 1) + 0.0:+.1f} points")
    return ["", *lines] if lines else []


def align(lines: Sequence[Sequence[str]], words: int) -> str:
    """Columns as wide as their widest cell, the first ones flush left, the figures flush right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def percent(fraction: float | None) -> str:
    """A fraction in percent, "-" where there is none."""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.2f}"


def _clock(time: float) -> str:
    tenths = round(10 * time)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths % 600 / 10:04.1f}"
