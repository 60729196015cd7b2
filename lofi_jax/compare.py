"""Compares two prediction files of the same videos: how large the difference is, how certain, and
where it comes from.

python -m lofi_jax.compare --ground_truth=annotations.json --predictions=one.json,other.json \\
    --subset=validation

The interval is a bootstrap over videos: both files are evaluated on the same samples of the videos,
drawn with replacement, and 95 of 100 differences lie within it. Predictions in videos outside the
subset are false, in every sample, unless --ignore_other_videos is given.
"""

from absl import flags

from lofi_jax import errors
from lofi_jax.comma_separated import names
from lofi_jax.detection import buckets, thresholds
from lofi_jax.errors import UsageError
from lofi_jax.files import try_to_write, write_json
from lofi_jax.reports import comparison_tables
from lofi_jax.results import comparison, ground_truth

_GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file.", required=True)
_PREDICTIONS = flags.DEFINE_string("predictions", None, "Two files, ONE,OTHER.", required=True)
_SUBSET = flags.DEFINE_string("subset", None, "The videos to compare on.", required=True)
_IGNORE_OTHER_VIDEOS = flags.DEFINE_bool(
    "ignore_other_videos", False, "Leave out predictions in videos that are not of the subset."
)
_TIOU = flags.DEFINE_string("tiou", thresholds.ACTIVITYNET, "Thresholds, first:step:last.")
_BUCKETS = flags.DEFINE_enum("buckets", "activitynet", buckets.NAMES, "Whose lengths to go by.")
_RESAMPLES = flags.DEFINE_integer("resamples", 1000, "Draws of the bootstrap.", 1, 100_000)
_SEED = flags.DEFINE_integer("seed", 0, "Of the draws.", 0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write all of it to, as fractions.")


def main() -> None:
    tious = thresholds.parse(_TIOU.value, "--tiou")
    paths = names(_PREDICTIONS.value)
    if len(paths) != 2:
        raise UsageError(
            f"--predictions={_PREDICTIONS.value}: name two files, separated by a comma"
        )
    if _OUTPUT.value:
        try_to_write(_OUTPUT.value)
    truth, both = ground_truth.load(
        _GROUND_TRUTH.value, _SUBSET.value, paths, _IGNORE_OTHER_VIDEOS.value
    )
    found = comparison.compare(truth, both, tious, _RESAMPLES.value, _SEED.value, _BUCKETS.value)
    result = {"predictions": paths, "subset": _SUBSET.value} | found
    if _OUTPUT.value:
        write_json(_OUTPUT.value, result)
    print(comparison_tables.text(result))


if __name__ == "__main__":
    errors.run(main)
