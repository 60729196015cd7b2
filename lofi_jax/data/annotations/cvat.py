"""CVAT's XML ("CVAT for video 1.1", "CVAT for images 1.1"): exported tracks and tags read as
actions, detections written as tracks.

CVAT has no time ranges. An action is a track, of any shape: it lasts from a shape that is not
`outside` to the frame before the next that is, or to its last shape. In the form for images it is a
tag on frames in a row. Frames count from 0 and are the video's own, whose rate the file does not
tell.

Source: docs.cvat.ai/docs/manual/advanced/xml_format and .../formats/format-cvat.
"""

import pathlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lofi_jax.data import video_ids
from lofi_jax.data.annotations import activitynet
from lofi_jax.data.annotations.activitynet import Annotations, Video
from lofi_jax.data.annotations.label_studio import SUBSET, frames
from lofi_jax.errors import UserError
from lofi_jax.files import read_text

Spans = list[tuple[int, int, str]]  # first frame, the frame after the last, label


def is_form(path: pathlib.Path) -> bool:
    """Whether a path is an XML file, or a folder that holds some."""
    return path.suffix.lower() == ".xml" or (path.is_dir() and any(path.glob("*.xml")))


def files_of(path: pathlib.Path) -> list[pathlib.Path]:
    """The files that `load` reads, sorted."""
    return sorted(path.glob("*.xml")) if path.is_dir() else [path]


def load(path: pathlib.Path, fps: Callable[[str], float], repair: bool = True) -> Annotations:
    """Reads one task's file, or a folder of them.

    Args:
        path: the file, or the folder.
        fps: a video's frames a second, by its id.
        repair: see `activitynet.load`.

    Raises:
        UserError: not such a file, two tasks of one video, or what `fps` raises.
    """
    videos: dict[str, Video] = {}
    for file in files_of(path):
        video = _video(file, fps)
        if video.video_id in videos:
            raise UserError(f"{file}: another task is of the video {video.video_id!r} too")
        videos[video.video_id] = video
    return activitynet.collect(path, videos.values(), {}, repair=repair)


def _video(file: pathlib.Path, fps: Callable[[str], float]) -> Video:
    try:
        root = ElementTree.fromstring(read_text(file))
    except ElementTree.ParseError as error:
        raise UserError(f"{file}: not XML ({error})") from error
    task = root.find("meta/task")
    task = root.find("meta/job") if task is None else task
    if root.tag != "annotations" or task is None:
        raise UserError(f"{file}: not CVAT's annotations of a task")
    # A task of a video has its file's name; one of images has none but its own.
    name = root.findtext("meta/source") or task.findtext("source") or task.findtext("name") or ""
    video = video_ids.of_file(name)
    if not video:
        raise UserError(f"{file}: does not name its video")
    try:
        spans = [*_tracks(root), *_tags(root)]
        rate = fps(video)
        segments = [(first / rate, after / rate) for first, after, _ in spans]
    except (KeyError, ValueError, OverflowError) as error:
        raise UserError(f"{file}: a track or a tag is not as CVAT has it ({error!r})") from error
    array = np.array(segments, np.float64).reshape(-1, 2)
    subset = task.findtext("subset") or SUBSET
    return Video(video, subset, None, array, tuple(label for *_, label in spans))


def _tracks(root: ElementTree.Element) -> Spans:
    spans = []
    for track in root.iter("track"):
        shapes = sorted(
            (int(shape.attrib["frame"]), shape.attrib.get("outside", "0") == "1")
            for shape in track
            if "frame" in shape.attrib
        )
        first = None
        for frame, outside in shapes:
            if outside and first is not None:
                spans.append((first, frame, track.attrib["label"]))
                first = None
            elif not outside and first is None:
                first = frame
        if first is not None:
            spans.append((first, shapes[-1][0] + 1, track.attrib["label"]))
    return spans


def _tags(root: ElementTree.Element) -> Spans:
    tagged: dict[str, list[int]] = {}
    for image in root.iter("image"):
        for tag in image.iter("tag"):
            tagged.setdefault(tag.attrib["label"], []).append(int(image.attrib["id"]))
    return [span for label, numbers in tagged.items() for span in _in_a_row(numbers, label)]


def _in_a_row(numbers: list[int], label: str) -> Iterator[tuple[int, int, str]]:
    """The spans of frames without a gap."""
    ordered = sorted(set(numbers))
    breaks = [i for i in range(1, len(ordered)) if ordered[i] > ordered[i - 1] + 1]
    for low, high in zip([0, *breaks], [*breaks, len(ordered)], strict=True):
        yield ordered[low], ordered[high - 1] + 1, label


def task(
    name: str,
    found: Sequence[Mapping[str, Any]],
    fps: float,
    count: int,
    size: tuple[int, int],
) -> str:
    """A video's detections as the XML of a task, for upload as "CVAT 1.1": each a track of a box
    around the whole image.

    Args:
        name: of the video file.
        found: [{"label", "score", "segment": [start, end] in seconds}].
        fps, count: its frames a second and in all.
        size: height and width in pixels.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    meta = ElementTree.SubElement(root, "meta")
    head = ElementTree.SubElement(meta, "task")
    for key, value in (("name", name), ("size", str(count)), ("mode", "interpolation")):
        ElementTree.SubElement(head, key).text = value
    labels = ElementTree.SubElement(head, "labels")
    for label in sorted({entry["label"] for entry in found}):
        one = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(one, "name").text = label
    ElementTree.SubElement(meta, "source").text = name
    height, width = size
    around = {"xtl": "0.00", "ytl": "0.00", "xbr": f"{width:.2f}", "ybr": f"{height:.2f}"}
    for i, entry in enumerate(found):
        track = ElementTree.SubElement(
            root, "track", id=str(i), label=entry["label"], source="auto"
        )
        first, after = frames(entry["segment"], fps)
        first, after = min(first, count - 1), min(after, count)
        shapes = [(first, "0")]
        if after < count:
            shapes.append((after, "1"))
        elif after - 1 > first:
            shapes.append((after - 1, "0"))
        for frame, outside in shapes:
            marks = {"frame": str(frame), "outside": outside, "occluded": "0", "keyframe": "1"}
            ElementTree.SubElement(track, "box", marks | around | {"z_order": "0"})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"
