"""Reads annotation files of any known form, and compares them with the published numbers."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

from lofi_jax.data import video_ids
from lofi_jax.data.annotations import activitynet, cvat, kinetics, label_studio, thumos
from lofi_jax.data.annotations.activitynet import Annotations
from lofi_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Published:
    """A public dataset's size according to its authors.

    Attributes:
        classes: their number.
        videos: their number by subset, where published.
        source: of the numbers.
    """

    classes: int
    videos: dict[str, int]
    source: str


PUBLISHED = {
    "activitynet": Published(
        200,
        {"training": 10024, "validation": 4926, "testing": 5044},
        "activity-net.org/download.html, release 1.3",
    ),
    "hacs": Published(
        200,
        {"training": 37613, "validation": 5981, "testing": 5987},
        "github.com/hangzhaomit/HACS-dataset, v1.1.1",
    ),
    # The usual JSON file calls the validation videos "train", for that is what they are used for.
    "thumos14": Published(
        20, {"validation": 200, "train": 200, "test": 213}, "THUMOS Challenge 2014"
    ),
    "kinetics400": Published(400, {}, "arXiv 1705.06950"),
}


def load(
    path: str | os.PathLike,
    files: Mapping[str, pathlib.Path] | None = None,
    repair: bool = True,
) -> Annotations:
    """Reads annotations by their form: a JSON file (ActivityNet, HACS, the usual THUMOS14 file, or
    Label Studio's export), a .csv file or a folder with some (Kinetics), an .xml file or a folder
    with some (CVAT), or a folder with a text file a class (THUMOS14).

    Args:
        path: the file or folder.
        files: the video files by name, from which CVAT's frames get their times.
        repair: see `activitynet.load`; of ActivityNet's, Label Studio's and CVAT's form.

    Raises:
        UserError: no such file, or not what its form should be.
    """
    path = pathlib.Path(path)
    if kinetics.is_form(path):
        return kinetics.load(path)
    if cvat.is_form(path):
        return cvat.load(path, _Rates(path, files or {}), repair)
    if path.is_dir():
        return thumos.load(path)
    if label_studio.is_form(path):
        return label_studio.load(path, repair)
    return activitynet.load(path, repair)


class _Rates:
    """The frame rates of videos, by id."""

    def __init__(self, annotations: pathlib.Path, files: Mapping[str, pathlib.Path]):
        self._annotations, self._files = annotations, files

    def __call__(self, video: str) -> float:
        name = video_ids.find(video, self._files)
        if name is None:
            raise UserError(
                f"{self._annotations}: CVAT's times are frames, and no file of the video {video!r}"
                " tells its frame rate: name the folder of the videos"
            )
        # Only here, for they import OpenCV.
        from lofi_jax.data.video import video_file
        from lofi_jax.data.video.packets import VideoError

        try:
            return video_file.probe(self._files[name]).fps
        except VideoError as error:
            raise UserError(str(error)) from error


def files_of(path: str | os.PathLike) -> list[pathlib.Path]:
    """The files that `load` reads, sorted."""
    path = pathlib.Path(path)
    if kinetics.is_form(path):
        return kinetics.files_of(path)
    if cvat.is_form(path):
        return cvat.files_of(path)
    return thumos.files_of(path) if path.is_dir() else [path]


def differences(name: str, found: Annotations) -> list[str]:
    """One line per number that differs from a public dataset's; none for other datasets."""
    if name not in PUBLISHED:
        return []
    published = PUBLISHED[name]
    lines = []
    if len(found.classes) != published.classes:
        lines.append(f"{len(found.classes)} classes, published are {published.classes}")
    for subset in dict.fromkeys(video.subset for video in found.videos.values()):
        here, there = len(found.subset(subset)), published.videos.get(subset)
        if there is not None and here != there:
            lines.append(f"{here} {subset} videos, published are {there}")
    return [f"{name}: {found.path} has {line} ({published.source})" for line in lines]
