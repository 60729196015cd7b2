"""Prints the metrics of a prediction file.

python -m lofi_jax.evaluate --ground_truth=annotations.json --predictions=detections.json \\
    --subset=validation

Both files are in the ActivityNet form. The numbers are the official evaluation's (see
detection/metrics.py) on the subset. Predictions in other videos are false, unless
--ignore_other_videos is given. Oddities in the files are printed as warnings.
"""

from absl import flags

from lofi_jax import errors
from lofi_jax.detection import metrics, thresholds
from lofi_jax.files import try_to_write, write_json
from lofi_jax.reports import tables
from lofi_jax.results import ground_truth

_GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file.", required=True)
_PREDICTIONS = flags.DEFINE_string("predictions", None, "Prediction file.", required=True)
_SUBSET = flags.DEFINE_string("subset", None, "The videos to evaluate on.", required=True)
_IGNORE_OTHER_VIDEOS = flags.DEFINE_bool(
    "ignore_other_videos", False, "Leave out predictions in videos that are not of the subset."
)
_TIOU = flags.DEFINE_string(
    "tiou", thresholds.ACTIVITYNET, "Thresholds of the mAP, first:step:last."
)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write the metrics to, as fractions.")


def main() -> None:
    tious = thresholds.parse(_TIOU.value, "--tiou")
    if _OUTPUT.value:
        try_to_write(_OUTPUT.value)
    truth, (found,) = ground_truth.load(
        _GROUND_TRUTH.value, _SUBSET.value, [_PREDICTIONS.value], _IGNORE_OTHER_VIDEOS.value
    )
    counted, classes = truth.count(found)
    scores = metrics.evaluate(truth.instances, counted, classes, tious)
    print(
        f"{len(counted.score)} predictions against {len(truth.instances.score)} segments of "
        f"{len(truth.classes)} classes in {len(truth.videos)} videos of {_SUBSET.value!r}; all in "
        "percent\n\n" + tables.metrics(scores)
    )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, scores)


if __name__ == "__main__":
    errors.run(main)
