"""Gives a finished dataset another annotation file: its stored frames stay where they are.

Segments, labels and subsets of the videos come from the new file; videos may be left out. Only
the dataset's metadata is written anew, in which each video then has "at": the split and the number
of its first stored snippet. "stored" and "files" then tell of all that is stored.
"""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.ingest.annotate import BROKEN, UNREADABLE, fit
from lofi_jax.data.ingest.video_folder import Job
from lofi_jax.data.prepared import records

# What is wrong with a file itself, whatever its annotation.
_OF_FILES = (BROKEN, UNREADABLE)


def relink(
    contents: Mapping[str, Any],
    jobs: Mapping[str, Sequence[Job]],
    classes: Sequence[str],
    source: Mapping[str, Any],
    problems: Mapping[str, Sequence[str]],
) -> dict[str, Any] | None:
    """A dataset's metadata for new annotations.

    Args:
        contents: what the dataset says of itself, see `records.contents`.
        jobs, classes, source, problems: of the new annotations, as `dataset.build` makes them.

    Returns:
        What the dataset is to say of itself; None where another video is needed than those that
        are stored, or one has changed.
    """
    now = source["videos"]
    before = contents["source"]["videos"] | contents.get("files", {})
    if any(before.get(name) != size for name, size in now.items()):
        return None
    stored = _stored(contents)
    unreadable = {line.partition(":")[0] for line in contents["problems"].get(UNREADABLE, ())}
    found = collections.defaultdict(list, {r: list(lines) for r, lines in problems.items()})
    for reason in _OF_FILES:
        found[reason] += contents["problems"].get(reason, ())
    videos: dict[str, list[dict[str, Any]]] = {}
    for split, chosen in jobs.items():
        videos[split] = []
        for job in chosen:
            known = stored.get(job.video.video_id)
            if known is None:
                if job.video.video_id not in unreadable:
                    return None
                continue
            linked, wrong = _annotated(job.video, known, classes)
            videos[split].append(linked)
            for reason, entry in wrong:
                found[reason].append(entry)
    kept = {reason: lines for reason, lines in found.items() if lines}
    changed = {"classes": list(classes), "source": source, "problems": kept, "videos": videos}
    # What is left out this time may come back.
    changed |= {"stored": list(stored.values()), "files": before}
    return {**contents, **changed}


def _stored(contents: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is known of each stored video, by its id."""
    stored = {one["video_id"]: one for one in contents.get("stored", ())}
    for split, known in contents["videos"].items():
        for one, at in zip(known, records.places(known, split, contents["frames"]), strict=True):
            stored[one["video_id"]] = {**one, "at": list(at)}
    return stored


def _annotated(
    video: Video, known: Mapping[str, Any], classes: Sequence[str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    segments, labels, wrong = fit(video, known["duration"], "", classes)
    changed = {"segments": segments.tolist(), "labels": labels.tolist()}
    return {**known, "video_id": video.video_id, **changed}, wrong
