"""A run's trainings: passes each stage its values from config, workdir and devices."""

import pathlib
from typing import Any

from lofi_jax import fidelity
from lofi_jax.config import full_fidelity
from lofi_jax.config.rows import Row
from lofi_jax.config.settings import Data, Source
from lofi_jax.data.loader import clips, pretext_clips, trimmed_clips
from lofi_jax.data.loader.clips import Augmentation
from lofi_jax.data.loader.image_changes import ImageChanges
from lofi_jax.errors import UserError, warn
from lofi_jax.files import read_or_none, read_own_json, remove, write_json
from lofi_jax.jobs import labels
from lofi_jax.models.segment_classifier import SegmentClassifier
from lofi_jax.run import checkpoints, datasets, features, sources, workdir
from lofi_jax.run.checkpoints import ORIGIN
from lofi_jax.run.networks import (
    joint_chunks,
    joint_settings,
    make_encoder,
    make_encoder_of,
    make_head,
    snippet_shape,
)
from lofi_jax.run.start import Run
from lofi_jax.stages import classify, classify_segments, clip_accuracy, head, joint, pretrain
from lofi_jax.stages.pretrain import Clips
from lofi_jax.stages.train import is_finished
from lofi_jax.training import folders, processes
from lofi_jax.training.checkpoints import load_state


def pretrain_encoder(run: Run, start: str) -> None:
    """Trains a start other than "icp", after those it starts from; finished ones are skipped."""
    lineage = [start]
    while ORIGIN[lineage[0]] != "icp":
        lineage.insert(0, ORIGIN[lineage[0]])
    for step in lineage:
        if step == "acp" and run.config.encoder_checkpoint:
            print(f"pretrain (acp): not needed, it comes from {run.config.encoder_checkpoint}")
        else:
            _pretrain(run, step)
            if step == "acp":
                _measure_accuracy(run)


def _pretrain(run: Run, start: str) -> None:
    config, folder = run.config, run.workdir.encoder(start)
    recipe = config.fine_tune if start == "acp_plus" else config.pretrain
    learned = _clips(run, start)
    if not is_finished(folder, recipe, len(learned.records)):
        origin = checkpoints.encoder_variables(run, ORIGIN[start])
        encoder = make_encoder_of(config, start)
        smoothing = recipe.label_smoothing
        pretrain.run(start, encoder, origin, learned, recipe, folder, run.session, smoothing)


def _clips(run: Run, start: str) -> Clips:
    """The training data of a start."""
    config, full = run.config, full_fidelity(run.config)
    augmentation = _augmentation(config.data)
    source = datasets.target_clips(run) if start == "acp_plus" else datasets.source(run)
    if start == "speednet" and len(source.records[0].frames) < 2 * config.data.frames:
        raise UserError(
            "speednet needs two snippets per source clip: set config.source.snippets to 2"
        )
    if start in ("acp", "acp_plus"):
        drawing = _source_drawing(run) if start == "acp" else _drawing(run, "snippet", config.data)
        clip = trimmed_clips.TrainingClip(full, drawing, augmentation, config.seed)
        return Clips(source.actions, len(source.classes), clip, snippet_shape(config))
    task = {"arrow_of_time": pretext_clips.ArrowOfTime, "speednet": pretext_clips.SpeedNet}
    clip = task[start](full, config.data.frames, augmentation, config.seed)
    return Clips(source.records, 2, clip, snippet_shape(config))


def _augmentation(data: Data) -> Augmentation:
    changes = ImageChanges(
        data.brightness,
        data.contrast,
        data.saturation,
        data.hue,
        data.rand_augment,
        data.rand_magnitude,
    )
    return Augmentation(data.crop_area, data.flip, changes)


def _source_drawing(run: Run) -> trimmed_clips.Drawing:
    """How clips are drawn from the source's actions."""
    config = run.config
    stored = config.source if sources.source(run) else config.data
    return _drawing(run, config.source.sampling, stored)


def _drawing(run: Run, sampling: str, stored: Data | Source) -> trimmed_clips.Drawing:
    config = run.config
    return trimmed_clips.Drawing(
        sampling, config.data.frames, config.source.stride, stored.snippets_per_second
    )


def _measure_accuracy(run: Run) -> None:
    """Measures stage 1's encoder on the source's test subset, if any, and writes accuracy.json."""
    config, folder = run.config, run.workdir.encoder("acp")
    subset, path = config.source.test_subset, folder / "accuracy.json"
    if not subset:
        return
    if read_or_none(path) is None:
        source = datasets.source(run, subset)
        clip = trimmed_clips.TestClips(full_fidelity(config), _source_drawing(run))
        test = Clips(source.actions, len(source.classes), clip, snippet_shape(config))
        state = load_state(folders.checkpoints(folder))
        measured = clip_accuracy.measure(make_encoder_of(config, "acp"), state, test)
        write_json(path, {"subset": subset, "videos": len(source.records)} | measured)
    measured = read_own_json(path)
    print(
        f"accuracy on {measured['videos']} videos of {subset!r}, {measured['clips']} clips a"
        " segment: top-1"
        f" {100 * measured['top1']:.2f}%, top-5 {100 * measured['top5']:.2f}%"
    )


def train_jointly(run: Run, row: Row) -> None:
    """Stage 2 of a row, at the fidelities that its schedule gives."""
    config, settings = run.config, joint_settings(run.config)
    folder, examples = run.workdir.encoder(row.encoder), datasets.joint_examples(run)
    if is_finished(folder, settings, len(examples)):
        return
    target, full = datasets.target(run), full_fidelity(config)
    at = fidelity.schedule(
        row.fidelity, full, settings.factors, settings.steps_per_epoch(len(examples))
    )
    transformation = clips.WholeVideo(
        lambda index: at(index // settings.batch_size),
        config.data.frames,
        target.most_instances,
        _augmentation(config.data),
        config.seed,
    )
    joint.run(
        f"joint ({row.fidelity}, {row.head})",
        joint_networks(run, row, len(target.classes)),
        checkpoints.encoder_variables(run, settings.start),
        joint.Videos(examples, transformation, (full.snippets, *snippet_shape(config))),
        settings,
        settings.encoder_scale,
        folder,
        run.session,
    )


def joint_networks(run: Run, row: Row, classes: int) -> joint.Networks:
    """The encoder and the head that a row trains together."""
    config = run.config
    made = make_head(config, row.head, classes)
    return joint.Networks(make_encoder(config), made, config.dtype, joint_chunks(config))


def train_head(run: Run, row: Row) -> None:
    """Stage 3 of a row, with the same seed and settings for every encoder."""
    config, settings = run.config, run.config.head_training
    if config.head_checkpoint:
        print(f"head ({row.name}): not needed, it comes from {config.head_checkpoint}")
        return
    target, folder = datasets.target(run), run.workdir.head(row)
    _claim(run, folder, row.encoder)
    if not is_finished(folder, settings, target.training_examples):
        examples = features.training_examples(run, row.encoder, settings.standardise)
        made = make_head(config, row.head, len(target.classes))
        name = f"head ({row.name})"
        head.run(name, made, config.dtype, examples, settings, folder, run.session)


def train_classifier(run: Run) -> None:
    """Trains the classifier of videos or of segments, unless an external file has the scores."""
    settings, encoder = run.config.classifier, labels.encoder_of(run)
    if settings.file:
        return
    target, level = datasets.target(run), labels.level(run)
    folder = labels.folder(run, level)
    _claim(run, folder, encoder)
    if processes.is_first():
        _note(folder / "classes.json", list(target.classes))
        longest = max(video.known_duration for video in target.train_videos)
        _note(folder / "trained_on.json", {"longest_seconds": longest})
    if is_finished(folder, settings, target.training_examples):
        return
    examples = features.training_examples(run, encoder, labels.STANDARDISES)
    model = labels.model(run, level, len(target.classes))
    if isinstance(model, SegmentClassifier):
        classify_segments.run(model, examples, settings, folder, run.session)
    else:
        classify.run(model, examples, settings, folder, run.session)


def _note(path: pathlib.Path, content: Any) -> None:
    """Writes a file that is not there, damaged or out of date."""
    if read_or_none(path) != content:
        write_json(path, content)


def _claim(run: Run, folder: Any, encoder: str) -> None:
    """Records in a training's folder which features it uses.

    Raises:
        UserError: it was trained on others.
    """
    if not processes.is_first():
        return
    path, fingerprint = workdir.trained_on(folder), features.fingerprint(run, encoder)
    known = read_or_none(path) if path.exists() else None
    if known is None and folder.exists():
        if path.exists():
            warn([f"{path}: is damaged, so what was trained beside it is trained again"])
        remove(folder)
    if known is None:
        write_json(path, fingerprint)
    elif known != fingerprint:
        raise UserError(
            f"{folder}: was trained on features that {encoder!r} no longer has: delete the folder"
        )
