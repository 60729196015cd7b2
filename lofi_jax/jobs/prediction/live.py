"""Detects in a live source: a line of JSON for each detection as soon as its window is complete."""

import functools
import json
import operator
import pathlib
import sys

from lofi_jax.data.streamed import address as addresses
from lofi_jax.data.streamed.live import Live
from lofi_jax.data.video.packets import VideoError
from lofi_jax.errors import UserError
from lofi_jax.jobs.prediction.localizer import Localizer
from lofi_jax.results import by_ending
from lofi_jax.results.detections import Detections
from lofi_jax.results.kept import Kept


def run(localizer: Localizer, address: str, kept: Kept, output: pathlib.Path | None) -> None:
    """Prints {"video", "start", "end", "label", "score", "seen"} for each detection, in seconds
    from the first frame; "seen" is how much of the video had come. What happens to the source goes
    to stderr.

    Args:
        address: see `live.Live`.
        kept: what is kept of each window's detections.
        output: a file of detections to write in the end, also if that is Ctrl-C; not
            where no frame came.

    Raises:
        UserError: no connection, or no frame; then nothing is written.
    """
    windows = localizer.windows
    # A detection that is centred at the window's beginning waits for its end, and for what is not
    # yet a piece of as many snippets as are encoded together.
    piece = 0 if windows.size % windows.step == 0 else windows.step / windows.rate
    say(
        f"{address}: windows of {windows.seconds:g} s, one every"
        f" {windows.step / windows.rate:g} s: a detection is printed at most"
        f" {windows.seconds + piece:g} s of video after its centre, and the computing time"
    )
    try:
        _detect(localizer, address, kept, output)
    except VideoError as error:
        raise UserError(str(error)) from error


def _detect(localizer: Localizer, address: str, kept: Kept, output: pathlib.Path | None) -> None:
    """Prints the detections, and writes them in the end."""
    source, video = Live(address, localizer.windowed_sampling, say), addresses.name_of(address)
    found = [Detections([], [], [], video)]
    try:
        for seen, one in localizer.detect_windows(source, lambda: source.duration, video):
            one = kept.of(one)
            found.append(one)
            for detection in one:
                told = {"video": video, **detection._asdict(), "seen": round(seen, 3)}
                print(json.dumps(told), flush=True)
    finally:
        if output is not None and source.duration:
            by_ending.save(output, functools.reduce(operator.add, found).top())


def say(line: str) -> None:
    """Says what happens, apart from the detections."""
    print(line, file=sys.stderr, flush=True)
