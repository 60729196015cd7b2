"""Prints the metrics of a prediction file.

python -m lofi_jax.evaluate --ground_truth=annotations.json --predictions=detections.json \\
    --subset=validation

Both files are in the ActivityNet form. The numbers are the official evaluation's (see
detection/metrics.py) on the subset. Predictions in other videos are false, unless
--ignore_other_videos is given. Oddities in the files are printed as warnings.
"""

from collections.abc import Mapping, Sequence

from absl import flags

from lofi_jax import errors
from lofi_jax.detection import metrics, thresholds
from lofi_jax.files import try_to_write, write_json
from lofi_jax.results import ground_truth

GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file.", required=True)
PREDICTIONS = flags.DEFINE_string("predictions", None, "Prediction file.", required=True)
SUBSET = flags.DEFINE_string("subset", None, "The videos to evaluate on.", required=True)
IGNORE_OTHER_VIDEOS = flags.DEFINE_bool(
    "ignore_other_videos", False, "Leave out predictions in videos that are not of the subset."
)
TIOU = flags.DEFINE_string(
    "tiou", thresholds.ACTIVITYNET, "Thresholds of the mAP, first:step:last."
)
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write the metrics to, as fractions.")


def main() -> None:
    tious = thresholds.parse(TIOU.value, "--tiou")
    if OUTPUT.value:
        try_to_write(OUTPUT.value)
    truth, (found,) = ground_truth.load(
        GROUND_TRUTH.value, SUBSET.value, [PREDICTIONS.value], IGNORE_OTHER_VIDEOS.value
    )
    counted, classes = truth.count(found)
    scores = metrics.evaluate(truth.instances, counted, classes, tious)
    print(
        f"{len(counted.score)} predictions against {len(truth.instances.score)} segments of "
        f"{len(truth.classes)} classes in {len(truth.videos)} videos of {SUBSET.value!r}; all in "
        "percent\n\n" + table(scores)
    )
    if OUTPUT.value:
        write_json(OUTPUT.value, scores)


def table(scores: Mapping) -> str:
    """The metrics as text, in percent.

    Args:
        scores: from `metrics.evaluate`.
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


if __name__ == "__main__":
    errors.run(main)
