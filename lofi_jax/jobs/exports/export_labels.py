"""Detections as pre-annotations for a labeling tool, to be corrected by people."""

import pathlib
from collections.abc import Collection

from lofi_jax.data import video_ids
from lofi_jax.data.annotations import cvat, label_studio
from lofi_jax.data.ingest.video_folder import find_videos
from lofi_jax.data.video import video_file
from lofi_jax.data.video.packets import VideoError
from lofi_jax.errors import LONGEST, UserError, first, one_line
from lofi_jax.files import safe_name, write_json, write_text
from lofi_jax.jobs.exports import names
from lofi_jax.results import by_ending
from lofi_jax.results.detections import Detections

NAMES = ("label_studio", "cvat")


def run(
    predictions: pathlib.Path,
    video_dir: pathlib.Path,
    layout: str,
    output: pathlib.Path,
    min_score: float,
) -> str:
    """Writes detections in a tool's own form: for Label Studio tasks.json and the labeling config
    config.xml, for CVAT an .xml file a video.

    Args:
        predictions: any file of detections.
        video_dir: holds their videos, whose frame rates tell the frames.
        layout: one of `NAMES`.
        output: the folder to write.
        min_score: of a detection.

    Returns:
        A message about what was written.

    Raises:
        UserError: a file that cannot be read or written, a video that is not in the folder, or a
            name that XML cannot hold.
    """
    files, infos, found = find_videos(video_dir), {}, {}
    loaded = by_ending.load(predictions)
    for video, detections in loaded.items():
        name = video_ids.find(video, files)
        if name is None:
            raise UserError(f"{video_dir}: holds no file of the video {video!r} of {predictions}")
        try:
            infos[video] = video_file.probe(files[name])
        except VideoError as error:
            raise UserError(str(error)) from error
        found[video] = detections.filter(min_score).entries()
    labels = sorted({entry["label"] for entries in found.values() for entry in entries})
    names.check(predictions, "label", labels)
    paths = {video: pathlib.Path(info.path) for video, info in infos.items()}
    names.check(video_dir, "file name", (path.name for path in paths.values()))
    if layout == "label_studio":
        own = {v: path.relative_to(video_dir).as_posix() for v, path in paths.items()}
        rates = {video: info.fps for video, info in infos.items()}
        write_json(
            output / "tasks.json",
            label_studio.tasks(found, own, rates, f"lofi_jax {predictions.stem}"),
            indent=1,
        )
        write_text(output / "config.xml", label_studio.config(labels))
    else:
        for video, info in infos.items():
            size = info.height, info.width
            text = cvat.task(paths[video].name, found[video], info.fps, info.frames, size)
            write_text(output / f"{safe_name(video)}.xml", text)
    count = sum(map(len, found.values()))
    told = f"{count} detections in {len(found)} videos ({first(list(found))}) -> {output}"
    told = one_line(told, LONGEST)
    return told if count else f"{told}\n{_why_none(predictions, loaded.values(), min_score)}"


def _why_none(predictions: pathlib.Path, found: Collection[Detections], min_score: float) -> str:
    best = max((score for one in found for score in one.scores), default=None)
    if best is None:
        return f"{predictions}: holds no detections"
    return (
        f"{predictions}: the best score is {best:.3g}, under --min_score={min_score:g}: name a"
        " lower one"
    )
