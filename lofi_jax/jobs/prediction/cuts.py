"""How a run cuts videos that are longer than those it was trained on."""

from lofi_jax.detection.windows import Windows
from lofi_jax.errors import UserError
from lofi_jax.files import is_number, read_or_none
from lofi_jax.jobs import labels
from lofi_jax.run import datasets
from lofi_jax.run.start import Run

_OVERLAP = 0.5


def windows(run: Run, longest_seconds: float) -> Windows:
    """The windows of a video that comes in pieces: the run's own, or as long as the longest video
    that it was trained on, overlapping by half.

    Raises:
        UserError: it is not known how long they were.
    """
    own = datasets.windows_of(run.config)
    if own is not None:
        return own
    if not longest_seconds:
        raise UserError(
            f"{run.workdir.root}: does not tell how long its training videos are: rerun"
            " lofi_jax.main on it"
        )
    snippets = run.config.data.snippets
    return Windows(snippets, _OVERLAP, snippets / longest_seconds)


def longest_seconds(run: Run) -> float:
    """The duration of the longest training video, 0 where it is not known."""
    path = labels.folder(run, labels.trained_level(run)) / "trained_on.json"
    noted = read_or_none(path)
    if isinstance(noted, dict) and is_number(noted.get("longest_seconds")):
        return noted["longest_seconds"]
    try:  # a damaged note, or a workdir from before that was noted
        return max(video.known_duration for video in datasets.target(run).train_videos)
    except UserError:
        return 0.0
