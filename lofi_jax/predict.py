"""`python -m lofi_jax.predict`: detect in any video files with a trained run."""

import pathlib

from absl import flags

from lofi_jax import errors
from lofi_jax.comma_separated import names
from lofi_jax.jobs import predict
from lofi_jax.jobs.localizer import Localizer
from lofi_jax.run.start import keep_compiled

_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder of a finished run of lofi_jax.main, or of one head in it.",
    required=True,
)
_VIDEOS = flags.DEFINE_string(
    "videos",
    None,
    "Video files, folders or patterns such as 'clips/*.mp4', separated by commas.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    f"The file to write: {', '.join(predict.ENDINGS)}; .json is in the ActivityNet form.",
    required=True,
)
_MIN_SCORE = flags.DEFINE_float("min_score", 0.0, "Of a detection that is kept.", 0.0)
_TOP_K = flags.DEFINE_integer("top_k", None, "Most detections of a video; default: all.", 1)
_CLASSES = flags.DEFINE_string("classes", "", "Whose detections are kept; default: all classes'.")
_PROPOSALS_ONLY = flags.DEFINE_bool(
    "proposals_only", False, f"Segments without a class, all of the label {predict.PROPOSAL!r}."
)
_TIMELINE_DIR = flags.DEFINE_string("timeline_dir", "", "Folder for an image of each video.")
_VIEW = flags.DEFINE_string(
    "view", "", "Folder for a page that plays the videos beside their detections."
)


_ROW = flags.DEFINE_string(
    "row", "", "Which of the run's rows, such as lofi_temporal_gtad; default: the best evaluated."
)


def main() -> None:
    videos, output = predict.expand(_VIDEOS.value), pathlib.Path(_OUTPUT.value)
    predict.check_output(output, videos)
    localizer = Localizer.load(_WORKDIR.value, _ROW.value)
    kept = predict.Kept(
        _MIN_SCORE.value, _TOP_K.value, names(_CLASSES.value), _PROPOSALS_ONLY.value
    )
    kept.check(localizer.classes)
    print(f"row {localizer.row.name}: {localizer.why}", flush=True)
    keep_compiled(localizer.run.config, localizer.run.workdir)
    timelines = pathlib.Path(_TIMELINE_DIR.value) if _TIMELINE_DIR.value else None
    page = pathlib.Path(_VIEW.value) if _VIEW.value else None
    with errors.naming_full_disk(output.parent):
        print(predict.run(localizer, videos, output, timelines, kept, page))


if __name__ == "__main__":
    errors.run(main)
