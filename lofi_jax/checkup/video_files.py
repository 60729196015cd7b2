"""Annotated videos without a file, and files that cannot be opened."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.errors import first


def check(
    subset: str, ids: Sequence[str], found: Collection[str], broken: Mapping[str, str]
) -> Iterator[Finding]:
    """Looks at one subset.

    Args:
        subset: its name.
        ids: of its annotated videos.
        found: those with a file.
        broken: why a file cannot be opened, by id.
    """
    missing = [video_id for video_id in ids if video_id not in found]
    if missing:
        yield Finding(
            Severity.STOP if len(missing) == len(ids) else Severity.WARNING,
            f"{len(missing)} of {len(ids)} videos of {subset!r} have no file: {first(missing)}",
            "name files ID or v_ID, with an ending such as .mp4; look at config.data.video_dir",
        )
    bad = [video_id for video_id in ids if video_id in broken]
    if bad:
        yield Finding(
            Severity.STOP if len(bad) == len(ids) else Severity.WARNING,
            f"{len(bad)} of {len(ids)} files of {subset!r} cannot be opened: {broken[bad[0]]}",
            "download or convert them again; they are left out",
        )
