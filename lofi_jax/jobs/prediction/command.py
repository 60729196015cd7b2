"""The predict command once JAX is there."""

import pathlib

from lofi_jax import errors, locks
from lofi_jax.comma_separated import names
from lofi_jax.data.streamed.address import is_live
from lofi_jax.errors import UsageError
from lofi_jax.jobs.prediction import live, recorded
from lofi_jax.jobs.prediction.localizer import Localizer
from lofi_jax.jobs.prediction.video_paths import expand
from lofi_jax.results.kept import Kept
from lofi_jax.run.start import keep_compiled


def run(
    workdir: str,
    row: str,
    videos: str,
    output: pathlib.Path | None,
    timeline_dir: pathlib.Path | None,
    view_dir: pathlib.Path | None,
    kept: Kept,
    wait: bool,
) -> None:
    """Detects in files, or in one live source, and prints what it does.

    Args:
        row: see `Localizer.load`.
        videos: see `expand`; or the address of a live source, see `live.Live`.
        output: of a live source it may be None.
        timeline_dir, view_dir, kept: see `recorded.run`.
        wait: for another process that writes the output; see `locks.only`.

    Raises:
        UserError: what the user can fix.
    """
    sources = [entry for entry in names(videos) if is_live(entry)]
    paths = [] if sources else expand(videos)
    if sources and (len(names(videos)) > 1 or timeline_dir or view_dir):
        raise UsageError(
            f"--videos={videos}: a live source goes alone, without --timeline_dir and --view"
        )
    if output is not None:
        recorded.check_output(output, paths, timeline_dir, view_dir)
    elif not sources:
        raise UsageError("--output: name the file to write")
    localizer = Localizer.load(workdir, row)
    kept.check(localizer.classes)
    keep_compiled(localizer.run.config, localizer.run.workdir)
    chosen = f"row {localizer.row.name}: {localizer.why}"
    if sources:
        live.say(chosen)
        live.run(localizer, sources[0], kept, output)
    elif output is not None:
        print(chosen, flush=True)
        with errors.naming_full_disk(output.parent), locks.only(output, wait):
            print(recorded.run(localizer, paths, output, timeline_dir, kept, view_dir))
