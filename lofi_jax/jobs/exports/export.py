"""A run's features and annotations in the layouts that other TAL projects read."""

import pathlib
from collections.abc import Sequence

import numpy as np

from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.errors import UserError
from lofi_jax.files import aside, safe_name, write_json, write_text
from lofi_jax.jobs.exports import export_layouts, names
from lofi_jax.run import datasets, sources
from lofi_jax.run import features as run_features
from lofi_jax.run.start import Run


def run(run: Run, encoder: str, layout: str, output: pathlib.Path) -> str:
    """Writes features/<video id>.npy, annotations.json, category_idx.txt (one class per line) and a
    config file.

    Args:
        encoder: as the run's folder features/ names it.
        layout: one of `export_layouts.NAMES`.
        output: the folder to write; an earlier export there is overwritten.

    Returns:
        A message about what was written.

    Raises:
        UserError: no such layout or features, features that are another encoder's or broken, a
            label of several lines, or a folder that cannot be written.
    """
    if layout not in export_layouts.NAMES:
        raise UserError(f"--layout={layout}: choose one of {', '.join(export_layouts.NAMES)}")
    _check_encoder(run, encoder)
    data, target = run.config.data, datasets.target(run)
    # Both projects train only on videos with an action.
    train = [video for video in target.train_videos if video.labels]
    videos = [*train, *target.test_videos]
    _check_ids(videos)
    classes = [c for c in target.classes if any(c in video.labels for video in videos)]
    names.check(sources.target(run).annotations, "label", classes)
    output = output.absolute()
    features, annotations = output / "features", output / "annotations.json"
    class_file = output / "category_idx.txt"
    subsets = data.train_subset, data.test_subset
    try:
        lengths, width = _write_features(run_features.store(run, encoder), videos, features)
        form = export_layouts.Form(
            width=width,
            snippets=data.window or data.snippets,
            rate=data.snippets_per_second,
            overlap=data.window_overlap,
        )
        write_json(annotations, export_layouts.database(videos, lengths, classes, form.rate))
        write_text(class_file, "".join(f"{name}\n" for name in classes))
        if layout == "opentad":
            config = output / "dataset.py"
            text = export_layouts.opentad_config(
                str(features), str(annotations), str(class_file), subsets, form
            )
        else:
            config = output / "config.yaml"
            text = export_layouts.actionformer_config(
                str(features), str(annotations), subsets, len(classes), form
            )
        write_text(config, text)
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror})") from error
    idle = len(target.train_videos) - len(train)
    left_out = f"; {idle} training videos without an action left out" if idle else ""
    return (
        f"{len(videos)} videos of {sum(lengths)} features in {form.width} channels,"
        f" {len(classes)} classes{left_out}\n"
        f"{layout}: {config}"
    )


def _check_encoder(run: Run, encoder: str) -> None:
    folders = sorted(run.workdir.all_features.glob("*"))
    there = [folder.name for folder in folders if FeatureStore(folder).description.exists()]
    if encoder not in there:
        raise UserError(
            f"--encoder={encoder}: {run.workdir.all_features} has no such features, only:"
            f" {', '.join(there)}"
        )


def _check_ids(videos: Sequence[Video]) -> None:
    for video in videos:
        if safe_name(video.video_id) != video.video_id:
            raise UserError(
                f"video {video.video_id!r}: these projects name its file after its id, which no"
                " file can have: rename it in the annotations"
            )


def _write_features(
    store: FeatureStore, videos: Sequence[Video], folder: pathlib.Path
) -> tuple[list[int], int]:
    """Writes each video's features; returns their lengths and number of channels."""
    lengths, width = [], 0
    for video in videos:
        array = store.read(video.video_id)
        path = folder / f"{video.video_id}.npy"
        with aside(path) as unfinished, unfinished.open("wb") as file:
            np.save(file, array)
        lengths.append(len(array))
        width = array.shape[1]
    return lengths, width
