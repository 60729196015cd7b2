"""Writes a page that plays videos beside their timelines.

python -m lofi_jax.view --ground_truth=annotations.json --predictions=detections.json \\
    --video_dir=videos --output=view --serve

The folder opens in any browser by its index.html, without a network. Videos are hard-linked into
it, or linked by name where they lie on another disk; --copy_videos copies them.
"""

import pathlib

from absl import flags

from lofi_jax import errors
from lofi_jax.comma_separated import names
from lofi_jax.data.ingest.video_folder import find_videos
from lofi_jax.detection import thresholds
from lofi_jax.errors import UsageError, first
from lofi_jax.files import try_to_fill, try_to_write
from lofi_jax.jobs import view
from lofi_jax.reports.server import server
from lofi_jax.results import ground_truth, side_by_side

_GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file.", required=True)
_PREDICTIONS = flags.DEFINE_string(
    "predictions", None, "Prediction files, separated by commas.", required=True
)
_VIDEO_DIR = flags.DEFINE_string("video_dir", None, "Folder of the videos.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the page and the videos.", required=True)
_SUBSET = flags.DEFINE_string(
    "subset", "", "The videos to show; empty: those that a prediction file names."
)
_TIOU = flags.DEFINE_string("tiou", thresholds.ACTIVITYNET, "Thresholds, first:step:last.")
_COPY_VIDEOS = flags.DEFINE_bool("copy_videos", False, "Copy the videos, rather than link them.")
_SERVE = flags.DEFINE_bool("serve", False, "Serve the folder on this machine until Ctrl-C.")
_PORT = flags.DEFINE_integer("port", 8000, "Where --serve listens; 0: at any free port.")


def main() -> int | None:
    tious = thresholds.parse(_TIOU.value, "--tiou")
    paths = names(_PREDICTIONS.value)
    if not paths:
        raise UsageError("--predictions names no file")
    folder = pathlib.Path(_OUTPUT.value)
    try_to_write(folder / "index.html")
    try_to_fill(folder / "videos")
    if _SUBSET.value:
        truth, found = ground_truth.load(_GROUND_TRUTH.value, _SUBSET.value, paths, True)
    else:
        truth, found = ground_truth.load_predicted(_GROUND_TRUTH.value, paths)
    called = [pathlib.Path(path).name for path in paths]
    systems = dict(zip(called if len(set(called)) == len(paths) else paths, found, strict=True))
    data, placed = view.with_videos(
        side_by_side.judged(truth, systems, tious),
        find_videos(_VIDEO_DIR.value),
        folder,
        _COPY_VIDEOS.value,
    )
    view.write(folder, f"{', '.join(systems)} on {pathlib.Path(_GROUND_TRUTH.value).name}", data)
    print(placed.summary())
    if placed.missing:
        errors.warn([f"{_VIDEO_DIR.value}: no file of {first(placed.missing)}"])
    print(f"{len(data['videos'])} videos -> {folder / 'index.html'}")
    return _serve(folder) if _SERVE.value else None


def _serve(folder: pathlib.Path) -> int:
    with server(folder, _PORT.value) as running:
        print(f"http://127.0.0.1:{running.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    errors.run(main)
