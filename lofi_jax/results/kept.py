"""What is kept of a video's detections: by score, number and class, or segments alone."""

import dataclasses
from collections.abc import Collection

from lofi_jax.errors import UserError, there_are
from lofi_jax.results.detections import Detections

PROPOSAL = "proposal"  # the label of all where only proposals are asked for


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is kept of a video's detections.

    Attributes:
        min_score: of a detection.
        top_k: most of a video, or of each window of a live source; None: all.
        classes: whose; () for all.
        proposals_only: segments without classes.
    """

    min_score: float = 0.0
    top_k: int | None = None
    classes: tuple[str, ...] = ()
    proposals_only: bool = False

    def check(self, known: Collection[str]) -> None:
        """Raises a `UserError` for a class that no detection can have."""
        unknown = [name for name in self.classes if name not in known]
        if unknown:
            raise UserError(
                f"--classes: the run knows no class {unknown[0]!r}: {there_are(unknown[0], known)}"
            )

    def of(self, found: Detections) -> Detections:
        if self.proposals_only:
            found = _unlabelled(found)
        return found.filter(self.min_score, self.classes or None).top(self.top_k)


ALL = Kept()


def _unlabelled(found: Detections) -> Detections:
    """Every segment once, with its best score."""
    best = found.top()
    seen: dict[tuple[float, float], int] = {}
    for i, segment in enumerate(best.segments.tolist()):
        seen.setdefault((segment[0], segment[1]), i)
    kept = best[list(seen.values())]
    return Detections(kept.segments, [PROPOSAL] * len(kept), kept.scores, kept.video)
