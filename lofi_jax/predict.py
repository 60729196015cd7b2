"""`python -m lofi_jax.predict`: detect in any video files with a trained run."""

import pathlib

from absl import flags

from lofi_jax import errors, locks
from lofi_jax.files import try_to_write
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
    "output", None, "The JSON file to write, in the ActivityNet form.", required=True
)
_WAIT = locks.define_wait()
_TIMELINE_DIR = flags.DEFINE_string("timeline_dir", "", "Folder for an image of each video.")


def main() -> None:
    try_to_write(_OUTPUT.value)
    localizer = Localizer.load(_WORKDIR.value)
    keep_compiled(localizer.run.config, localizer.run.workdir)
    timelines = pathlib.Path(_TIMELINE_DIR.value) if _TIMELINE_DIR.value else None
    videos, output = predict.expand(_VIDEOS.value), pathlib.Path(_OUTPUT.value)
    with errors.naming_full_disk(output.parent), locks.only(output, _WAIT.value):
        print(predict.run(localizer, videos, output, timelines))


if __name__ == "__main__":
    errors.run(main)
