"""What will go wrong in a run, before it does: the values of each check, from config and files."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lofi_jax.checkup import (
    coverage,
    epochs,
    frame_rates,
    instances,
    labels,
    times,
    video_files,
    video_labels,
)
from lofi_jax.checkup.finding import Finding, Severity, worst_first
from lofi_jax.checkup.frame_rates import Rate
from lofi_jax.comma_separated import names
from lofi_jax.config import Config, full_fidelity, rows_of
from lofi_jax.config.settings import VIDEO
from lofi_jax.data.annotations import activitynet, formats
from lofi_jax.data.annotations.activitynet import Annotations, Video
from lofi_jax.data.annotations.windows import to_train_on
from lofi_jax.data.ingest import video_folder
from lofi_jax.data.video.sample_times import snippets_in
from lofi_jax.detection.windows import Windows
from lofi_jax.errors import LONGEST, UserError, one_line
from lofi_jax.jobs import checkup_anchors, checkup_files, checkup_networks
from lofi_jax.jobs import labels as labels_of
from lofi_jax.run import datasets, divisibility, networks
from lofi_jax.run.workdir import Workdir

_FIRST = 3  # findings that a run begins with


@dataclasses.dataclass(frozen=True)
class Checkup:
    """What was found, worst first, and what there is to know besides."""

    findings: list[Finding]
    facts: list[str]


def of_annotations(config: Config) -> Checkup:
    """What the config and its annotation file alone tell, in a moment.

    Raises:
        UserError: the file cannot be read, or a subset is not in it.
    """
    if config.dataset == "synthetic":
        count, clips = config.synthetic.train_videos, config.synthetic.source_clips
        facts = ["the built-in world: its videos and annotations need no check"]
        return Checkup(worst_first(_trainings(config, count, clips, 0)), facts)
    train, test = _subsets(config, _annotations(config))
    return _of_videos(config, train, test, {}, {})


def whole(config: Config, workdir: Workdir) -> Checkup:
    """All checks: of the annotations, the video files, the disk, the memory and the networks.

    Raises:
        UserError: as `of_annotations`; or there is no such folder of videos.
    """
    if config.dataset == "synthetic" or datasets.needs_no_videos(config):
        checked = of_annotations(config)
        more = list(checkup_networks.check(config, [], 0.0, 0))
        return Checkup(worst_first([*checked.findings, *more]), checked.facts)
    annotated = _annotations(config)
    subsets = _subsets(config, annotated)
    files = video_folder.find_videos(config.data.video_dir)
    jobs = video_folder.match(annotated, files)
    paths = {job.video.video_id: job.path for of in jobs.values() for job in of}
    headers = checkup_files.headers_of(
        {v.video_id: paths[v.video_id] for of in subsets for v in of if v.video_id in paths}
    )
    data, findings = config.data, []
    for name, videos in zip((data.train_subset, data.test_subset), subsets, strict=True):
        ids = [video.video_id for video in videos]
        findings += video_files.check(name, ids, paths, headers.broken)
    train, test = (
        [v for v in videos if v.video_id in paths and v.video_id not in headers.broken]
        for videos in subsets
    )
    checked = _of_videos(config, train, test, headers.durations, headers.rates)
    findings += checked.findings
    findings += frame_rates.check(headers.rates, data.frames, data.stride)
    facts = list(checked.facts)
    wanted = {video.video_id for video in (*train, *test)}
    chosen = [job for of in jobs.values() for job in of if job.video.video_id in wanted]
    if chosen:
        more, said = checkup_files.room(config, workdir, chosen)
        findings += more
        decoded = checkup_files.decoded_per_second(config, [job.path for job in chosen])
        facts += [*said, f"decoding the video files: {decoded:.0f} frames a second and core"]
        findings += checkup_networks.check(config, train, decoded, _joint_frames(config, train))
    return Checkup(worst_first(findings), facts)


def first_lines(config: Config) -> list[str]:
    """The worst of what can be told in a moment, for a run that is about to begin; none where the
    annotation file cannot be read, which the run says itself.
    """
    try:
        findings = of_annotations(config).findings
    except UserError:
        return []
    bad = [finding for finding in findings if finding.severity < Severity.NOTE]
    lines = [
        one_line(f"doctor: {finding.what}; {finding.remedy}", LONGEST) for finding in bad[:_FIRST]
    ]
    more = len(bad) - len(lines)
    return lines + (
        [f"doctor: and {more} more: python -m lofi_jax.doctor says them"] if more else []
    )


def _annotations(config: Config) -> Annotations:
    path = config.data.annotations
    # Unrepaired, so that what is wrong is seen.
    return activitynet.load(path, repair=False) if path.endswith(".json") else formats.load(path)


def _subsets(config: Config, annotated: Annotations) -> tuple[list[Video], list[Video]]:
    data = config.data
    train, test = (annotated.subset(name) for name in (data.train_subset, data.test_subset))
    return list(train.values()), list(test.values())


def _of_videos(
    config: Config,
    train: list[Video],
    test: list[Video],
    durations: Mapping[str, float],
    rates: Mapping[str, Rate],
) -> Checkup:
    """The checks that need no more than annotations, and durations (s) where files say them."""
    every = [*train, *test]
    stated = {video.video_id: video.duration for video in every if video.duration}
    average = {video_id: rate.average for video_id, rate in rates.items()}
    findings = [
        *labels.check(train, test),
        *instances.check(train, test),
        *times.check(every, {**stated, **durations}, average),
    ]
    # Where a video's length is known, and what lies within it.
    train, test = ([_cut(v, durations) for v in videos] for videos in (train, test))
    findings += coverage.check(train)
    if any(not networks.classifies(row.head) for row in rows_of(config)):
        level = labels_of.asked_for(config.classifier.level, labels_of.with_several(train))
        if level == VIDEO and not config.classifier.file:
            findings += video_labels.check(test, config.classifier.top_classes)
    more, facts = checkup_anchors.check(config, test)
    findings += more
    segments = sum(len(video.labels) for video in train)
    clips = 0 if config.source.video_dir else segments
    findings += _trainings(config, _examples(config, train), clips, segments)
    known = [video.duration for video in (*train, *test) if video.duration]
    counts = [
        f"{len(videos)} {name} videos with {sum(len(v.labels) for v in videos)} instances"
        for name, videos in (("training", train), ("test", test))
    ]
    classes = len({label for video in (*train, *test) for label in video.labels})
    hours = f"{sum(known) / 3600:.2f} hours" if known else "of unknown durations"
    facts = [f"{'; '.join(counts)}; {classes} classes; {hours}", *facts]
    return Checkup(worst_first(findings), facts)


def _cut(video: Video, durations: Mapping[str, float]) -> Video:
    """The video with the file's duration where it is known, and the sound segments within it."""
    duration = durations.get(video.video_id) or video.duration
    last = duration or np.inf
    segments = np.clip(video.segments, 0, last)
    kept = segments[:, 1] > segments[:, 0]
    sound = tuple(label for label, is_sound in zip(video.labels, kept, strict=True) if is_sound)
    return dataclasses.replace(video, duration=duration, segments=segments[kept], labels=sound)


def _examples(config: Config, train: Sequence[Video]) -> int:
    """The number of videos, or windows, that an epoch has; 0 where durations are not known."""
    data = config.data
    if not data.window:
        return len(train)
    windows = Windows(data.window, data.window_overlap, data.snippets_per_second)
    known = [video for video in train if video.duration]
    lengths = [snippets_in(video.known_duration, windows.rate, 0) for video in known]
    return len(to_train_on(known, lengths, windows))


def _trainings(config: Config, examples: int, clips: int, segments: int) -> Iterator[Finding]:
    """The trainings that the config asks for, by how many examples each has; 0: not known.

    Args:
        examples: of the target, videos or windows.
        clips: of the source.
        segments: of the target, whose clips acp_plus learns.
    """
    table, stages = rows_of(config), names(config.stages)
    starts = divisibility.trained_starts(config) if "pretrain" in stages else set()
    joint = "joint" in stages and any(row.start == "lofi" for row in table)
    used = {
        "pretrain": clips if starts - {"acp_plus"} else 0,
        "fine_tune": segments if "acp_plus" in starts else 0,
        "joint": examples if joint else 0,
        "head_training": examples if "head" in stages and not config.head_checkpoint else 0,
        "classifier": examples if "head" in stages and not config.classifier.file else 0,
    }
    for name, count in used.items():
        recipe = getattr(config, name)
        if count and recipe.batch_size > 0:  # not "auto"
            yield from epochs.check(name, recipe, count)


def _joint_frames(config: Config, train: Sequence[Video]) -> int:
    """Frames that joint training reads, at full fidelity."""
    per_example = full_fidelity(config).snippets * config.data.frames
    return int(config.joint.epochs * _examples(config, train) * per_example)
