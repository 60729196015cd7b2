"""The difference of two systems as tables of plain text."""

from collections.abc import Mapping, Sequence

from lofi_jax.reports.tables import align, percent

_SHOWN = 5  # classes that gained and that lost the most


def text(result: Mapping) -> str:
    """What `compare` finds as tables, in percent.

    Args:
        result: from `lofi_jax.results.comparison.compare`, and "predictions", the two files.
    """
    low, high = (100 * value for value in result["interval"])
    rows = [["tIoU", "one", "other", "difference"]]
    rows += [[tiou, *_pair(pair)] for tiou, pair in result["mAP"].items()]
    rows.append(["average", *_pair(result["average_mAP"])])
    lengths = [["length (s)", "instances", "one", "other", "difference"]]
    for row in result["lengths"]:
        upper = "" if row["to"] is None else f" to {row['to']:g}"
        over = f"over {row['from']:g}{upper}"
        lengths.append([over, str(row["instances"]), *_pair(row["average_mAP_N"])])
    classes = [["class", "instances", "one", "other", "difference"]]
    moved = [entry for entry in result["classes"] if entry["difference"]]
    most = [e for e in moved[:_SHOWN] if e["difference"] > 0]
    least = [e for e in moved[-_SHOWN:] if e["difference"] < 0]
    for entry in (*most, *least):
        numbers = [str(entry["instances"]), *_pair(entry["average_precision"])]
        classes.append([entry["label"], *numbers])
    return "\n\n".join(
        [
            "\n".join(
                f"{n}: {path}"
                for n, path in zip(("one", "other"), result["predictions"], strict=True)
            ),
            f"mAP\n{align(rows, words=1)}",
            f"difference {100 * result['difference']:+.2f}, between {low:+.2f} and {high:+.2f} on"
            " 95 of 100 draws of "
            f"the videos; other is better on {100 * result['other_is_better']:.1f} percent of"
            f" {result['resamples']}",
            f"normalised mAP by the length of the instances\n{align(lengths, words=1)}",
            f"the classes that gained and that lost the most\n{align(classes, words=1)}"
            if moved
            else "not one class has gained or lost",
        ]
    )


def _pair(values: Sequence[float | None]) -> list[str]:
    one, other = values
    difference = "-" if one is None or other is None else f"{100 * (other - one):+.2f}"
    return [percent(one), percent(other), difference]
