"""`lofi_jax.recognize` once JAX is there: video files to a file of what is in them."""

import os
import pathlib

import jax

from lofi_jax import errors
from lofi_jax.devices import compiled
from lofi_jax.jobs.prediction import recorded
from lofi_jax.jobs.prediction.recognizer import Recognizer
from lofi_jax.jobs.prediction.video_paths import expand
from lofi_jax.weights import kinetics


def run(videos: str, output: pathlib.Path, timelines: pathlib.Path | None) -> None:
    """Recognizes in videos.

    Args:
        videos: files, folders or patterns, separated by commas.
        output: the file to write.
        timelines: folder for an image of each video.

    Raises:
        UserError: what the user can fix.
    """
    paths = expand(videos)
    recorded.check_output(output, paths, timelines)
    _keep_compiled()
    recognizer = Recognizer(kinetics.load())
    with errors.naming_full_disk(output.parent):
        print(recorded.run(recognizer, paths, output, timelines, does="recognize"))


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
