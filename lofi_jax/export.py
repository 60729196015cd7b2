"""`python -m lofi_jax.export`: export what a run has made for other programs.

python -m lofi_jax.export --workdir=runs/anet --encoder=lofi_long_cycle_gtad --layout=opentad \\
    --output=exports/anet

| --layout | the folder gets |
|---|---|
| opentad, actionformer | an encoder's features: features/<video id>.npy, annotations.json, \
category_idx.txt and a config file with paths and sizes filled in, for `_base_` of an OpenTAD \
config (dataset.py) or ActionFormer's train.py (config.yaml) |
| stablehlo | a row's encoder, head and postprocessing as programs that JAX alone runs, and \
loader.py |
| label_studio, cvat | detections, to be corrected there: tasks.json and config.xml, or an .xml \
file a video |
"""

import pathlib

from absl import flags

from lofi_jax import errors
from lofi_jax.bounds import Range, define_float
from lofi_jax.errors import UsageError
from lofi_jax.files import remove_abandoned, try_to_fill
from lofi_jax.jobs import best
from lofi_jax.jobs.exports import export, export_labels, export_layouts, stablehlo
from lofi_jax.run import sources
from lofi_jax.run.start import load_run

_STABLEHLO = "stablehlo"
_LAYOUTS = (*export_layouts.NAMES, *export_labels.NAMES, _STABLEHLO)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run of lofi_jax.main.", required=True)
_ENCODER = flags.DEFINE_string(
    "encoder", None, "Whose features, one of the names in WORKDIR/features; not for detections."
)
_LAYOUT = flags.DEFINE_string("layout", None, f"One of {', '.join(_LAYOUTS)}.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", required=True)
_PREDICTIONS = flags.DEFINE_string(
    "predictions", None, "The detections; default: WORKDIR/detections.json."
)
_VIDEO_DIR = flags.DEFINE_string(
    "video_dir", None, "Folder of the videos of the detections; default: the run's."
)
_MIN_SCORE = define_float("min_score", 0.1, "Of a detection that is exported.", Range())
_ROW = flags.DEFINE_string("row", "", "Whose programs; default: the best evaluated row's.")
_FEATURES_ONLY = flags.DEFINE_bool("features_only", False, "Of the programs the encoder alone.")


def main() -> None:
    output = pathlib.Path(_OUTPUT.value)
    if _LAYOUT.value not in _LAYOUTS:
        raise UsageError(f"--layout={_LAYOUT.value}: choose one of {', '.join(_LAYOUTS)}")
    try_to_fill(output)
    run = load_run(_WORKDIR.value)
    with errors.naming_full_disk(output):
        remove_abandoned(output, output / "features")
        if _LAYOUT.value in export_labels.NAMES:
            found = pathlib.Path(_PREDICTIONS.value or run.workdir.best_detections)
            videos = pathlib.Path(_VIDEO_DIR.value or sources.target(run).video_dir)
            print(export_labels.run(found, videos, _LAYOUT.value, output, _MIN_SCORE.value))
        elif _LAYOUT.value == _STABLEHLO:
            chosen = best.trained(run, _ROW.value)
            print(stablehlo.run(run, chosen.row, output, _FEATURES_ONLY.value))
        elif _ENCODER.value is None:
            raise UsageError(f"--encoder: name whose features --layout={_LAYOUT.value} is to hold")
        else:
            print(export.run(run, _ENCODER.value, _LAYOUT.value, output))


if __name__ == "__main__":
    errors.run(main)
