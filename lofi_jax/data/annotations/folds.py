"""Cross-validation: the videos of a data set in parts, each of which is tested by a run that trains
on the others.
"""

from collections.abc import Sequence

from lofi_jax.data.annotations.activitynet import Annotations
from lofi_jax.errors import UserError


def numbers(annotations: Annotations, subset: str) -> dict[str, int]:
    """The fold of each video of a subset.

    Raises:
        UserError: one has none, or all have the same.
    """
    found = {}
    for video_id, video in annotations.subset(subset).items():
        if video.fold is None:
            raise UserError(
                f"{annotations.path}: video {video_id!r} has no 'fold': give one to each video of"
                f" subset {subset!r}, or leave config.data.fold and --folds out"
            )
        found[video_id] = video.fold
    if len(set(found.values())) < 2:
        raise UserError(
            f"{annotations.path}: all videos of subset {subset!r} are of one 'fold': make two"
        )
    return found


def split(
    annotations: Annotations, subset: str, fold: int, video_ids: Sequence[str]
) -> tuple[list[int], list[int]]:
    """Which of some videos of a subset are trained on and which are tested, by their places.

    Raises:
        UserError: as `numbers`, or there is no such fold.
    """
    of_video = numbers(annotations, subset)
    there = sorted(set(of_video.values()))
    if fold not in there:
        raise UserError(
            f"config.data.fold is {fold}: {annotations.path} has the folds"
            f" {', '.join(map(str, there))}"
        )
    tested = [of_video[video_id] == fold for video_id in video_ids]
    train = [i for i, test in enumerate(tested) if not test]
    return train, [i for i, test in enumerate(tested) if test]
