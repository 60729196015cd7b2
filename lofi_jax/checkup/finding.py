"""What a check finds: how bad it is, what it is, and what to do about it."""

import enum
from collections.abc import Iterable
from typing import NamedTuple

from lofi_jax.errors import LONGEST, one_line


class Severity(enum.IntEnum):
    """The worst come first."""

    STOP = 0  # the run would fail, or its result mean nothing
    WARNING = 1  # the result would suffer
    NOTE = 2  # to know


class Finding(NamedTuple):
    """One line of a checkup."""

    severity: Severity
    what: str
    remedy: str


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by severity; of one severity as they came."""
    return sorted(findings, key=lambda finding: finding.severity)


def text(finding: Finding) -> str:
    """A finding and its remedy, a line each; what files say in it is cut where it is long.

    >>> print(text(Finding(Severity.STOP, "the disk is full", "free some space")))
    STOP     the disk is full
             -> free some space
    """
    what, remedy = (one_line(part, LONGEST) for part in (finding.what, finding.remedy))
    return f"{finding.severity.name:<9}{what}\n{'':9}-> {remedy}"
