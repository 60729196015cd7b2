"""`python -m lofi_jax.predict`: detect in any video files with a trained run."""

import pathlib
import sys

from absl import flags

from lofi_jax import errors, locks
from lofi_jax.bounds import Range, define_float
from lofi_jax.comma_separated import names
from lofi_jax.data.streamed.address import is_live
from lofi_jax.devices import huge_pages

_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder of a finished run of lofi_jax.main, or of one head in it.",
    required=True,
)
_VIDEOS = flags.DEFINE_string(
    "videos",
    None,
    "Video files, folders or patterns such as 'clips/*.mp4', separated by commas; or one live"
    " source: - for stdin, a URL (rtsp, http, ...) or a device such as /dev/video0.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The file to write: .json (the ActivityNet form), .csv, .srt or .vtt. Of a live source it may"
    " be left out: lines of JSON go to the output.",
)
_MIN_SCORE = define_float("min_score", 0.0, "Of a detection that is kept.", Range())
_TOP_K = flags.DEFINE_integer(
    "top_k",
    None,
    "Most detections of a video, or of each window of a live source; default: all.",
    1,
)
_CLASSES = flags.DEFINE_string("classes", "", "Whose detections are kept; default: all classes'.")
_PROPOSALS_ONLY = flags.DEFINE_bool(
    "proposals_only", False, "Segments without a class, all of the label 'proposal'."
)
_WAIT = locks.define_wait()
_TIMELINE_DIR = flags.DEFINE_string("timeline_dir", "", "Folder for an image of each video.")
_VIEW = flags.DEFINE_string(
    "view", "", "Folder for a page that plays the videos beside their detections."
)


_ROW = flags.DEFINE_string(
    "row", "", "Which of the run's rows, such as lofi_temporal_gtad; default: the best evaluated."
)


def main() -> None:
    # The output of a live source is lines of JSON alone.
    live = any(map(is_live, names(_VIDEOS.value)))
    print("predict: starting JAX", file=sys.stderr if live else sys.stdout, flush=True)
    # Only here, for it takes seconds.
    from lofi_jax.jobs.prediction import command
    from lofi_jax.results.kept import Kept

    kept = Kept(_MIN_SCORE.value, _TOP_K.value, names(_CLASSES.value), _PROPOSALS_ONLY.value)
    output, timelines, page = (
        pathlib.Path(name) if name else None
        for name in (_OUTPUT.value, _TIMELINE_DIR.value, _VIEW.value)
    )
    command.run(
        _WORKDIR.value, _ROW.value, _VIDEOS.value, output, timelines, page, kept, _WAIT.value
    )


if __name__ == "__main__":
    huge_pages.begin_with()
    errors.run(main)
