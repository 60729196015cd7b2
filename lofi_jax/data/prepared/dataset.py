"""Makes a TFDS dataset of JPEG frames from videos and annotations, without TensorFlow.

One example per snippet, one split per subset, in ArrayRecord files. The dataset stores a
fingerprint of its input, so another dataset is never mistaken for it, and a report of the input's
problems.
"""

import collections
import contextlib
import dataclasses
import errno
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from lofi_jax import errors, locks
from lofi_jax.data.annotations import formats
from lofi_jax.data.ingest import video_folder
from lofi_jax.data.ingest.annotate import UNREADABLE
from lofi_jax.data.ingest.report import Report
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import beam_pool, disk, local_pool, records, relink
from lofi_jax.data.prepared import shards as shard_files
from lofi_jax.data.prepared.examples import features
from lofi_jax.data.video.video_file import EXTENSIONS
from lofi_jax.errors import UserError
from lofi_jax.files import remove_unfinished, write_json


@dataclasses.dataclass(frozen=True)
class Beam:
    """Apache Beam instead of this process's threads; see `beam_pool.write`."""

    runner: str
    options: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Work:
    """Where a dataset is made; its content does not depend on it.

    Attributes:
        workers: decoding threads; None: one per core.
        beam: instead of them.
        wait: for another process that makes the same; see `locks.only`.
    """

    workers: int | None = None
    beam: Beam | None = None
    wait: bool = True


def build(
    name: str,
    video_dir: str | os.PathLike,
    annotations: str | os.PathLike,
    data_dir: str | os.PathLike,
    sampling: Sampling,
    work: Work = Work(),
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[tfds.core.DatasetBuilder, Report]:
    """Makes a dataset of the annotated videos found, resumes it, or finds it finished; one that was
    made with another annotation file gets the new one (see relink.py).

    Args:
        name: of the dataset, such as "activitynet".
        video_dir: holds each video as v_<id>.* or <id>.*, at any depth.
        annotations: what `formats.load` reads.
        data_dir: gets <name>/<sampling.name>/2.0.0/, atomically.
        progress: called with the number of videos done and their total: once before the first, with
            what a build that was killed had finished, then as they are done.
        say: called with messages for the user: the annotation file's content and the disk needed.

    Returns:
        What `records.load` returns, and the report, which also lies in the dataset's folder as
        report.json.

    Raises:
        UserError: bad annotations, no usable video at all, a subset that cannot name a split, a
            disk that is full or too small, or a dataset made from other videos in the same place.
    """
    # Beam's workers may start in another folder.
    video_dir = pathlib.Path(video_dir).absolute()
    files = video_folder.find_videos(video_dir)
    parsed = formats.load(annotations, files)
    jobs = video_folder.match(parsed, files)
    source = video_folder.fingerprint(annotations, video_dir, jobs)
    folder = records.folder_of(data_dir, name, sampling)
    unfinished = folder.with_name(f"unfinished_{folder.name}")
    writer = shard_files.Writer(name, unfinished, parsed.classes, sampling)
    if folder.exists() and not writer.folder.exists():
        made_from = records.contents(records.load(data_dir, name, sampling))["source"]
        if made_from["annotations"] == source["annotations"]:
            # Maybe on a disk that takes nothing.
            return _finished(data_dir, name, sampling, source)
    with _reporting_disk_errors(folder), locks.only(folder, work.wait):
        problems = video_folder.known_problems(parsed, files, jobs)
        if not folder.exists():
            for line in formats.differences(name, parsed):
                say(line)
            if not jobs:
                raise UserError(
                    f"{video_dir}: holds none of the {len(parsed.videos)} annotated videos, as"
                    f" v_<id> or <id> with {' '.join(EXTENSIONS)}:"
                    f" {errors.first(problems[video_folder.MISSING])}"
                )
            shards = shard_files.plan(jobs, parsed.classes, sampling)
            _write_shards(writer, shards, work, progress, say)
            _complete(writer, shards, source, problems)
            os.rename(writer.data, folder)
        writer.discard()
        remove_unfinished(folder)
        contents = records.contents(records.load(data_dir, name, sampling))
        if contents["source"]["annotations"] != source["annotations"]:
            linked = relink.relink(contents, jobs, parsed.classes, source, problems)
            if linked is not None:
                report = _write_report(folder, linked)
                write_json(folder / "metadata.json", linked)  # last, for it tells that all is done
                count = sum(report.videos.values())
                say(f"{folder}: another annotation file; linked {count} stored videos with it")
    return _finished(data_dir, name, sampling, source)


def _finished(
    data_dir: str | os.PathLike, name: str, sampling: Sampling, source: Mapping[str, Any]
) -> tuple[tfds.core.DatasetBuilder, Report]:
    """A dataset that has been made, and its report; raises as `build`."""
    builder = records.load(data_dir, name, sampling)
    folder = pathlib.Path(builder.data_dir)
    video_folder.check_source(folder, records.contents(builder)["source"], source)
    return builder, _report(records.contents(builder))


def _write_shards(
    writer: shard_files.Writer,
    shards: Sequence[shard_files.Shard],
    work: Work,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> None:
    """Writes the shards that no earlier build has finished."""
    writer.discard_others(shards)
    left = [shard for shard in shards if writer.finished(shard) is None]
    jobs = [job for shard in left for job in shard.jobs]
    total = sum(len(shard.jobs) for shard in shards)
    before = total - len(jobs)
    progress(before, total)
    if not jobs:
        return
    needed = disk.estimate(jobs, writer.sampling)
    free = disk.check_room(needed, writer.folder)
    say(f"{needed}; {free / 1e9:.1f} GB are free")
    workers, beam = work.workers or os.cpu_count() or 1, work.beam

    def show(done: int) -> None:
        progress(before + done, total)

    if beam is None:
        local_pool.write(writer, left, workers, show)
    else:
        beam_pool.write(writer, left, beam.runner, beam.options, workers, show)


def _complete(
    writer: shard_files.Writer,
    shards: Sequence[shard_files.Shard],
    source: Mapping[str, Any],
    known_problems: Mapping[str, Sequence[str]],
) -> None:
    """Adds to the shards what TFDS and `records` need to read them, and the report.

    Raises:
        UserError: there are no examples.
    """
    problems = collections.defaultdict(
        list, {reason: list(entries) for reason, entries in known_problems.items()}
    )
    videos: dict[str, list[dict[str, Any]]] = {shard.split: [] for shard in shards}
    for shard in shards:
        finished = writer.finish_of(shard)
        videos[shard.split] += finished.videos
        for reason, entry in finished.problems:
            problems[reason].append(entry)
    if not any(videos.values()):
        writer.discard()
        count = sum(len(shard.jobs) for shard in shards)
        first = errors.first(problems[UNREADABLE])
        raise UserError(f"none of the {count} videos can be used: {first}")
    metadata = {
        "classes": writer.classes,
        "source": source,
        "problems": problems,
        "frames": writer.sampling.frames,
        "videos": videos,
    }
    identity = tfds.core.DatasetIdentity(
        name=writer.name,
        config_name=writer.sampling.name,
        version=tfds.core.Version(records.VERSION),
        data_dir=os.fspath(writer.data),
        module_name=__name__,
    )
    with records.quiet():
        info = tfds.core.DatasetInfo(
            builder=identity, features=features(), metadata=tfds.core.MetadataDict(metadata)
        )
        info.set_file_format(records.FILE_FORMAT)
        info.set_splits(tfds.core.SplitDict(writer.split_infos(shards)))
        info.write_to_directory(writer.data)
    _write_report(writer.data, metadata)


def _write_report(folder: pathlib.Path, contents: Mapping[str, Any]) -> Report:
    """Lays a dataset's report beside its shards."""
    report = _report(contents)
    write_json(folder / "report.json", report.to_json())
    return report


def _report(contents: Mapping[str, Any]) -> Report:
    """The report of a dataset that says `contents` of itself, see `records.contents`."""
    videos = {split: len(known) for split, known in contents["videos"].items()}
    problems = contents["problems"]
    return Report(videos, {reason: tuple(entries) for reason, entries in problems.items()})


def _unwritable(folder: pathlib.Path, reason: str) -> str:
    return f"{folder}: cannot be written ({reason}); fix this and rerun to resume"


@contextlib.contextmanager
def _reporting_disk_errors(folder: pathlib.Path) -> Iterator[None]:
    """Turns what a full or read-only disk raises into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(_unwritable(folder, error.strerror or str(error))) from error
    except RuntimeError as error:
        # ArrayRecord's writer raises these with the system's reason in its text.
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            if os.strerror(code) in str(error):
                raise UserError(_unwritable(folder, os.strerror(code))) from error
        raise
