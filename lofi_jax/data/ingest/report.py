"""The report of preparing a dataset: usable videos, and problems."""

import dataclasses
from typing import Any

from lofi_jax import errors


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of preparation.

    Attributes:
        videos: how many each split holds.
        problems: what was wrong, reason -> entries such as "v_abc: no such file".
    """

    videos: dict[str, int]
    problems: dict[str, tuple[str, ...]]

    def summary(self) -> str:
        """A line of counts, then a line for each kind of problem with its first entries."""
        counts = ", ".join(f"{count} in {split}" for split, count in self.videos.items())
        lines = [f"{sum(self.videos.values())} videos ({counts})"]
        for reason, entries in self.problems.items():
            lines.append(f"{len(entries)} {reason}: {errors.first(entries)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """What lies in report.json: "videos", "counts" (reason -> number of entries) and
        "problems".
        """
        counts = {reason: len(entries) for reason, entries in self.problems.items()}
        return {"videos": self.videos, "counts": counts, "problems": self.problems}
