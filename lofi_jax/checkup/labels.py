"""Classes that only one subset has, among them misspelt ones."""

import collections
import difflib
from collections.abc import Iterator, Sequence

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.errors import first


def check(train: Sequence[Video], test: Sequence[Video]) -> Iterator[Finding]:
    """Looks for test classes that no training video has, and for names that differ by little.

    Args:
        train, test: the annotated videos.
    """
    learned, asked = _counts(train), _counts(test)
    unknown = sorted(set(asked) - set(learned))
    if unknown:
        lost = sum(asked[label] for label in unknown) / asked.total()
        named = first([_with_close(label, learned) for label in unknown], 5)
        everything = len(unknown) == len(asked)
        yield Finding(
            Severity.STOP if everything else Severity.WARNING,
            f"{len(unknown)} of {len(asked)} test classes have no training instance, so"
            f" {100 * lost:.0f} percent of the test instances cannot be found: {named}",
            "correct the spelling in the annotation file, or give training instances",
        )
    both = sorted({*learned, *asked})
    twins = [f"{a!r} and {b!r}" for a, b in _twins(both) if a not in unknown and b not in unknown]
    if twins:
        yield Finding(
            Severity.WARNING,
            f"{len(twins)} pairs of classes differ in spaces, case or punctuation alone:"
            f" {first(twins)}",
            "give both the same name in the annotation file, if they are the same action",
        )


def _counts(videos: Sequence[Video]) -> collections.Counter[str]:
    return collections.Counter(label for video in videos for label in video.labels)


def _with_close(label: str, known: collections.Counter[str]) -> str:
    close = difflib.get_close_matches(label, known, 1, 0.65)
    return f"{label!r} (is it {close[0]!r}?)" if close else repr(label)


def _twins(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for name in names:
        plain = "".join(letter for letter in name.casefold() if letter.isalnum())
        if plain in seen:
            yield seen[plain], name
        seen.setdefault(plain, name)
