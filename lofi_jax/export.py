"""`python -m lofi_jax.export`: export a run's features and annotations for OpenTAD or
ActionFormer.

python -m lofi_jax.export --workdir=runs/anet --encoder=lofi_long_cycle_gtad --layout=opentad \\
    --output=exports/anet

The folder gets features/<video id>.npy, annotations.json, category_idx.txt and a config file with
paths and sizes filled in: dataset.py (for `_base_` of an OpenTAD config) or config.yaml (for
ActionFormer's train.py).
"""

import pathlib

from absl import flags

from lofi_jax import errors
from lofi_jax.jobs import export, export_layouts
from lofi_jax.run.start import load_run

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run of lofi_jax.main with features.", required=True
)
_ENCODER = flags.DEFINE_string(
    "encoder", None, "One of the names in WORKDIR/features.", required=True
)
_LAYOUT = flags.DEFINE_string(
    "layout", None, f"One of {', '.join(export_layouts.NAMES)}.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", required=True)


def main() -> None:
    output = pathlib.Path(_OUTPUT.value)
    with errors.naming_full_disk(output):
        print(export.run(load_run(_WORKDIR.value), _ENCODER.value, _LAYOUT.value, output))


if __name__ == "__main__":
    errors.run(main)
