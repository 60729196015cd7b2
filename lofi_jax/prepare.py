"""Makes a dataset on disk from a folder of videos and an annotation file.

python -m lofi_jax.prepare --dataset=activitynet --video_dir=videos \\
    --annotations=activity_net.v1-3.min.json --data_dir=data

A video lies anywhere below its folder as <id>.mp4 or v_<id>.mp4 (or .mkv, .avi, .mov, .webm).
Missing and broken videos are listed and left out. The required disk space is printed first. A
killed run resumes with its unfinished files; a finished one is recognised at once. See
lofi_jax/data/README.md for each public dataset.
"""

import functools
from collections.abc import Callable

from absl import flags

from lofi_jax import errors, locks
from lofi_jax.bounds import Range, define_float
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import dataset
from lofi_jax.errors import UsageError
from lofi_jax.training.progress import Progress

DATASETS = ("synthetic", "activitynet", "hacs", "thumos14", "kinetics400", "video_folder")

_FULL = Sampling()
_DATASET = flags.DEFINE_string(
    "dataset", None, f"Its name: one of {', '.join(DATASETS)}.", required=True
)
_VIDEO_DIR = flags.DEFINE_string(
    "video_dir", None, "Folder of videos, at any depth.", required=True
)
_ANNOTATIONS = flags.DEFINE_string(
    "annotations",
    None,
    "Annotation file in the ActivityNet form, THUMOS14's folder of text files, Kinetics' .csv file"
    " or folder of them, Label Studio's exported JSON, or CVAT's .xml file or folder of them.",
    required=True,
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder that gets the dataset.", required=True)
_SNIPPETS = flags.DEFINE_integer("snippets", _FULL.snippets, "Snippets a video.")
_SNIPPETS_PER_SECOND = define_float(
    "snippets_per_second",
    _FULL.snippets_per_second,
    "Above 0, in place of --snippets: long videos get more snippets than short ones.",
    Range(),
)
_FRAMES = flags.DEFINE_integer("frames_per_snippet", _FULL.frames, "Frames a snippet.")
_STRIDE = flags.DEFINE_integer(
    "stride", _FULL.stride, "Native frames between a snippet's frames; 0: spread evenly over it."
)
_SHORT_SIDE = flags.DEFINE_integer(
    "short_side", _FULL.short_side, "Pixels of a frame's short side."
)
_QUALITY = flags.DEFINE_integer("quality", _FULL.quality, "Of the JPEGs, 1 to 100.")
_WAIT = locks.define_wait()
_WORKERS = flags.DEFINE_integer("workers", None, "Videos decoded at once; default: one a core.")
_BEAM_RUNNER = flags.DEFINE_string(
    "beam_runner",
    None,
    "Apache Beam in place of threads: DirectRunner (--workers processes), FlinkRunner, ...",
)
_BEAM_OPTIONS = flags.DEFINE_list(
    "beam_options", [], "Beam's own options, comma-separated: --region=europe-west4,..."
)


def main() -> None:
    if _DATASET.value not in DATASETS:
        raise UsageError(f"--dataset={_DATASET.value}: choose one of {', '.join(DATASETS)}")
    if _WORKERS.value is not None and _WORKERS.value < 1:
        raise UsageError(f"--workers={_WORKERS.value}: it must be at least 1")
    sampling = Sampling(
        _SNIPPETS.value,
        _FRAMES.value,
        _STRIDE.value,
        _SHORT_SIDE.value,
        _QUALITY.value,
        _SNIPPETS_PER_SECOND.value,
    )
    beam = dataset.Beam(_BEAM_RUNNER.value, _BEAM_OPTIONS.value) if _BEAM_RUNNER.value else None
    builder, report = dataset.build(
        _DATASET.value,
        _VIDEO_DIR.value,
        _ANNOTATIONS.value,
        _DATA_DIR.value,
        sampling,
        dataset.Work(_WORKERS.value, beam, _WAIT.value),
        _shown_progress(),
        functools.partial(print, flush=True),
    )
    print(report.summary())
    if report.problems:
        print(f"all of these: {builder.data_dir}/report.json")
    print(builder.data_dir)


def _shown_progress() -> Callable[[int, int], None]:
    """A function (videos done, their total) that shows it."""
    shown: list[Progress] = []

    def show(done: int, total: int) -> None:
        if not shown:
            shown.append(Progress("prepare", total, done, unit="videos"))
        shown[0].show(done, {})
        if done == total:
            shown[0].close()

    return show


if __name__ == "__main__":
    errors.run(main)
