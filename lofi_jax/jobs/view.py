"""Writes the viewer: one folder with a page and the videos, which opens in any browser."""

import dataclasses
import filecmp
import itertools
import os
import pathlib
import shutil
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lofi_jax.data import video_ids
from lofi_jax.data.video import packets
from lofi_jax.errors import UserError
from lofi_jax.files import aside, naming_unwritable, remove_abandoned, write_text
from lofi_jax.reports import pages
from lofi_jax.reports.viewer import part

# What all of today's browsers play; others are tried, and the page says why one stays black.
_PLAYED = {"h264", "vp8", "vp9", "av1"}
_CONTAINERS = {".mp4", ".mov", ".webm"}


@dataclasses.dataclass
class Placed:
    """How videos got into the folder: numbers of them by way.

    Attributes:
        linked: a second name of the same bytes, which takes no space on the disk.
        pointed: a symbolic link, for a file on another disk: it must stay where it is.
        copied: bytes of their own.
        kept: there already.
        missing: without a file.
        names: the file by its name in the folder.
    """

    kept: int = 0
    linked: int = 0
    pointed: int = 0
    copied: int = 0
    missing: list[str] = dataclasses.field(default_factory=list)
    names: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)

    def name(self, path: pathlib.Path) -> str:
        """A file's name in the folder, numbered where another has it."""
        possible = (f"{n}_{path.name}" for n in itertools.count(2))
        return next(
            name
            for name in itertools.chain((path.name,), possible)
            if self.names.setdefault(name, path) == path
        )

    def summary(self) -> str:
        """What was done, in one line."""
        did = [
            f"{number} {what}"
            for number, what in (
                (self.kept, "there already"),
                (self.linked, "hard-linked, which takes no space"),
                (self.pointed, "linked by name, so keep them where they are"),
                (self.copied, "copied"),
                (len(self.missing), "not found, shown as timelines alone"),
            )
            if number
        ]
        return f"videos: {'; '.join(did) or 'none'}"


def write(folder: pathlib.Path, title: str, data: Mapping[str, Any]) -> None:
    """Writes folder/index.html.

    Args:
        data: from `with_videos`.

    Raises:
        UserError: it cannot be written.
    """
    page = pages.page(title, [part.viewer(data)], part.STYLE, part.POLICY)
    write_text(folder / "index.html", page)


def with_videos(
    data: Mapping[str, Any],
    files: Mapping[str, pathlib.Path] | None,
    folder: pathlib.Path,
    copy: bool = False,
) -> tuple[dict[str, Any], Placed]:
    """The viewer's data with the videos' addresses, and the videos in folder/videos.

    Args:
        data: from `results.side_by_side`.
        files: by the video's id, with or without "v_" before it; None: no videos are wanted.
        folder: of the page.
        copy: gives the folder bytes of its own, rather than links.

    Raises:
        UserError: the folder cannot be written, or holds another file of a video's name.
    """
    remove_abandoned(folder, folder / "videos")
    placed = Placed()
    videos = []
    for video in data["videos"]:
        path = _file_of(video["id"], files or {})
        last = max((row[1] for row in _segments(video)), default=0.0)
        file, note, stated = None, "its file was not found", 0.0
        if files is None:
            note = "no folder of videos was given"
        elif path is None:
            placed.missing.append(video["id"])
        else:
            name = placed.name(path)
            _place(path, folder / "videos" / name, copy, placed)
            file = "videos/" + urllib.parse.quote(os.fsencode(name))
            note, stated = _about(path)
        # The page corrects it once the browser has opened the video.
        duration = video["duration"] or stated or last or 1.0
        videos.append(video | {"file": file, "note": note, "duration": round(duration, 3)})
    return {**data, "videos": videos}, placed


def _file_of(video_id: str, files: Mapping[str, pathlib.Path]) -> pathlib.Path | None:
    name = video_ids.find(video_id, files)
    return None if name is None else files[name]


def _segments(video: Mapping[str, Any]) -> Iterable[Sequence]:
    yield from video["truth"] or []
    for found in video["found"]:
        yield from found


def _place(path: pathlib.Path, link: pathlib.Path, copy: bool, placed: Placed) -> None:
    """Puts a video where the page looks for it; what lies there already is never lost."""
    with naming_unwritable(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        if _is_there(path, link, copy):
            placed.kept += 1
            return
        link.unlink(missing_ok=True)
        if copy:
            with aside(link) as unfinished:
                shutil.copyfile(path, unfinished)
            placed.copied += 1
            return
        try:
            os.link(path.resolve(), link)
            placed.linked += 1
        except OSError:
            link.symlink_to(os.path.relpath(path.resolve(), link.parent.resolve()))
            placed.pointed += 1


def _is_there(path: pathlib.Path, link: pathlib.Path, copy: bool) -> bool:
    """Whether what lies where the page looks is the video, as a copy or a link as wanted.

    Raises:
        UserError: it is another file.
    """
    if link.name == path.name and link.parent.samefile(path.parent):
        return True  # the videos lie in the page's own folder
    if not link.exists():
        return False
    same = link.samefile(path)
    if not (same or filecmp.cmp(link, path, shallow=False)):
        raise UserError(f"{link}: is another file than {path}: name another folder")
    return copy != (same or link.is_symlink())


def _about(path: pathlib.Path) -> tuple[str, float]:
    """What to say where a browser cannot play a file, and its duration in seconds, 0 if unknown."""
    try:
        with packets.open_video(path) as (container, stream):
            codec, pixels = stream.codec_context.name, stream.codec_context.pix_fmt or ""
            duration = packets.stated_duration(container, stream)
    except packets.VideoError as error:
        return str(error), 0.0
    ending = path.suffix.lower()
    plain = pixels in ("yuv420p", "yuvj420p") or codec != "h264"
    played = codec in _PLAYED and ending in _CONTAINERS and plain
    return "" if played else f"{codec} ({pixels}) in a file {ending}", duration
