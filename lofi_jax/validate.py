"""Says everything that is wrong with a prediction file before it is submitted.

python -m lofi_jax.validate --predictions=detections.json \\
    [--ground_truth=annotations.json --subset=validation]

With the annotations it also looks for videos of other subsets, missing videos, unknown labels and
segments that end after their video. The exit code is 0 where nothing is wrong, and else 1.
"""

from absl import flags

from lofi_jax import errors
from lofi_jax.data.annotations import formats
from lofi_jax.errors import UsageError
from lofi_jax.results import submissions
from lofi_jax.results.ground_truth import Truth

_PREDICTIONS = flags.DEFINE_string("predictions", None, "Prediction file.", required=True)
_GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file, of any known form.")
_VIDEO_DIR = flags.DEFINE_string(
    "video_dir", None, "Folder of the videos, for CVAT's annotations, whose times are frames."
)
_SUBSET = flags.DEFINE_string("subset", None, "The videos that the predictions are to be of.")


def main() -> int:
    truth = None
    if (_GROUND_TRUTH.value is None) != (_SUBSET.value is None):
        raise UsageError("--ground_truth and --subset: give both or neither")
    if _GROUND_TRUTH.value and _SUBSET.value is not None:
        files = None
        if _VIDEO_DIR.value:
            # Only here, for it imports OpenCV.
            from lofi_jax.data.ingest import video_folder

            files = video_folder.find_videos(_VIDEO_DIR.value)
        annotated = formats.load(_GROUND_TRUTH.value, files, repair=False)
        truth = Truth(annotated, _SUBSET.value, annotated.subset(_SUBSET.value), annotated.classes)
    count = 0
    for finding in submissions.findings(_PREDICTIONS.value, truth):
        print(finding)
        count += 1
    verdict = {0: "valid", 1: "1 finding"}.get(count, f"{count} findings")
    print(f"{_PREDICTIONS.value}: {verdict}")
    return 1 if count else 0


if __name__ == "__main__":
    errors.run(main)
