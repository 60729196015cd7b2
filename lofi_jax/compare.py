"""Compares two prediction files of the same videos: how large the difference is, how certain, and
where it comes from.

python -m lofi_jax.compare --ground_truth=annotations.json --predictions=one.json,other.json \\
    --subset=validation

The interval is a bootstrap over videos: both files are evaluated on the same samples of the videos,
drawn with replacement, and 95 of 100 differences lie within it. Predictions in videos outside the
subset are false, in every sample, unless --ignore_other_videos is given.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from absl import flags

from lofi_jax import errors
from lofi_jax.comma_separated import names
from lofi_jax.detection import bootstrap, buckets, diagnosis, metrics, thresholds
from lofi_jax.detection.metrics import Instances
from lofi_jax.errors import UserError
from lofi_jax.files import try_to_write, write_json
from lofi_jax.reports.tables import align, percent
from lofi_jax.results import ground_truth
from lofi_jax.results.ground_truth import Truth
from lofi_jax.results.predictions import Predictions

GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file.", required=True)
PREDICTIONS = flags.DEFINE_string("predictions", None, "Two files, ONE,OTHER.", required=True)
SUBSET = flags.DEFINE_string("subset", None, "The videos to compare on.", required=True)
IGNORE_OTHER_VIDEOS = flags.DEFINE_bool(
    "ignore_other_videos", False, "Leave out predictions in videos that are not of the subset."
)
TIOU = flags.DEFINE_string("tiou", thresholds.ACTIVITYNET, "Thresholds, first:step:last.")
BUCKETS = flags.DEFINE_enum("buckets", "activitynet", buckets.NAMES, "Whose lengths to go by.")
RESAMPLES = flags.DEFINE_integer("resamples", 1000, "Draws of the bootstrap.", 1)
SEED = flags.DEFINE_integer("seed", 0, "Of the draws.", 0)
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write all of it to, as fractions.")

_SHOWN = 5  # classes that gained and that lost the most


def main() -> None:
    tious = thresholds.parse(TIOU.value, "--tiou")
    paths = names(PREDICTIONS.value)
    if len(paths) != 2:
        raise UserError(f"--predictions={PREDICTIONS.value}: name two files, separated by a comma")
    if OUTPUT.value:
        try_to_write(OUTPUT.value)
    truth, both = ground_truth.load(
        GROUND_TRUTH.value, SUBSET.value, paths, IGNORE_OTHER_VIDEOS.value
    )
    result = {"predictions": paths, "subset": SUBSET.value} | _compare(truth, both, tious)
    if OUTPUT.value:
        write_json(OUTPUT.value, result)
    print(text(result))


def _compare(truth: Truth, both: Sequence[Predictions], tious: np.ndarray) -> dict:
    counted = [truth.count(found) for found in both]
    shown = len(truth.classes)
    precision = np.stack(
        [metrics.average_precision(truth.instances, *one, tious)[:shown] for one in counted]
    )
    times = bootstrap.draws(len(truth.videos), RESAMPLES.value, SEED.value)
    drawn = [bootstrap.mean_precisions(truth.instances, *one, tious, times) for one in counted]
    differences = drawn[1] - drawn[0]
    differences = differences[np.isfinite(differences)]
    average = precision.mean(axis=(1, 2))
    return {
        "average_mAP": average.tolist(),
        "difference": float(average[1] - average[0]),
        "interval": np.quantile(differences, (0.025, 0.975)).tolist(),
        "other_is_better": float(np.mean(differences > 0)),
        "resamples": len(differences),
        "seed": SEED.value,
        "mAP": {f"{t:.2f}": precision[:, :, k].mean(axis=1).tolist() for k, t in enumerate(tious)},
        "lengths": _by_length(truth, counted, tious),
        "classes": _by_class(truth, precision.mean(axis=2)),
    }


def _by_length(
    truth: Truth, counted: Sequence[tuple[Instances, int]], tious: np.ndarray
) -> list[dict]:
    """The normalised mAP of both by the length of the instances; see detection/diagnosis.py."""
    sound = diagnosis.sound(truth.instances, truth.durations)
    if not sound.any():
        return []
    kept = truth.instances.take(sound)
    length = {"length": buckets.characteristics(kept, truth.durations)["length"]}
    kinds = buckets.buckets(length, BUCKETS.value)
    one, other = (
        diagnosis.diagnose(kept, *found, tious, kinds)["instances"]["length"] for found in counted
    )
    keys = ("missed", "average_mAP_N")
    return [a | {key: [a[key], b[key]] for key in keys} for a, b in zip(one, other, strict=True)]


def _by_class(truth: Truth, precision: np.ndarray) -> list[dict]:
    """Every class, largest gain first. A class's share is its difference over the number of
    classes.
    """
    numbers = np.bincount(truth.instances.label, minlength=len(truth.classes))
    gained = precision[1] - precision[0]
    return [
        {
            "label": truth.classes[i],
            "instances": int(numbers[i]),
            "average_precision": precision[:, i].tolist(),
            "difference": float(gained[i]),
        }
        for i in np.argsort(-gained, kind="stable")
    ]


def text(result: Mapping) -> str:
    """What `_compare` found as tables, in percent."""
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


if __name__ == "__main__":
    errors.run(main)
