"""How much of the ground truth a run's anchors can reach, at each of its fidelities."""

from collections.abc import Sequence

import numpy as np

from lofi_jax.checkup import reach
from lofi_jax.checkup.finding import Finding
from lofi_jax.config import Config, fidelities, full_fidelity, rows_of
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.run import networks


def check(config: Config, test: Sequence[Video]) -> tuple[list[Finding], list[str]]:
    """The ceilings of recall of heads whose anchors lie on a grid of snippets."""
    heads = [networks.make_head(config, row.head, 1) for row in rows_of(config)]
    grids = [head for head in heads if hasattr(head, "max_duration")]
    known = [video for video in test if video.duration and video.labels]
    if not grids or not known:
        return [], []
    limits = [getattr(grids[0], key, None) for key in ("max_duration", "longest")]
    longest = min((limit for limit in limits if limit), default=None)
    lengths = np.array([video.known_duration for video in known])
    rate = config.data.snippets_per_second
    counts = np.array([len(video.labels) for video in known])

    def at(snippets: int, whole: int) -> dict[float, float]:
        """Of a fidelity of so many snippets, where the full one has `whole`."""
        number = lengths * rate * snippets / whole if rate else np.full(len(known), float(snippets))
        scale = np.repeat(number / lengths, counts)[:, None]
        segments = np.concatenate([video.segments for video in known]) * scale
        if rate:  # a window holds no longer one
            limit = min(longest or snippets, snippets)
        else:
            limit = longest
        return reach.ceilings(reach.best_tiou(segments, np.repeat(number, counts), limit))

    full = full_fidelity(config).snippets
    reached = {"full": at(full, full)}
    for row in rows_of(config):
        if row.start == "lofi":
            for low in fidelities(config, row.fidelity):
                if low.snippets < full:
                    reached[f"of {low.snippets} snippets"] = at(low.snippets, full)
    seconds = 1 / rate if rate else float(np.median(lengths)) / full
    wanted = next((n for n in (2, 4, 8) if at(n * full, full)[0.75] >= reach.ENOUGH), 16)
    if rate:
        enough = f"config.data.snippets_per_second={rate * wanted:g} and a window to match"
    else:
        enough = f"config.data.snippets={full * wanted}"
    facts = [
        f"anchors, {name}: recall is at most "
        + " / ".join(f"{100 * value:.1f}" for value in each.values())
        + " percent at tIoU 0.5 / 0.75 / 0.95"
        for name, each in reached.items()
    ]
    return list(reach.check(reached, seconds, enough)), facts
