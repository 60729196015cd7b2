"""The video files that a command's --videos names."""

import glob
import pathlib

from lofi_jax.comma_separated import names
from lofi_jax.data.ingest.video_folder import video_files_in
from lofi_jax.errors import UserError


def expand(paths: str) -> list[pathlib.Path]:
    """The video files of a comma-separated list of files, folders and patterns, each once.

    Raises:
        UserError: an entry that matches nothing.
    """
    files: dict[pathlib.Path, None] = {}
    for entry in names(paths):
        path = pathlib.Path(entry)
        if path.is_dir():
            found = sorted(video_files_in(path))
        elif path.exists():
            found = [path]
        else:
            found = [pathlib.Path(p) for p in sorted(glob.glob(entry, recursive=True))]
        if not found:
            raise UserError(f"{entry}: no such video file, folder of videos or pattern")
        files |= dict.fromkeys(found)
    return list(files)
