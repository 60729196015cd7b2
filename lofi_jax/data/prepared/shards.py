"""The files of a dataset: which video goes into which shard, how one is written, and which are
finished.

A shard depends on nothing but its own videos, so any number of threads, processes or machines write
the same bytes, and a killed build resumes with its unfinished shards.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds
from array_record.python import array_record_module  # type: ignore  # C++ without stubs
from etils import epath

from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.ingest.video_folder import Job
from lofi_jax.data.prepared import examples
from lofi_jax.data.prepared.records import FILE_FORMAT, VERSION
from lofi_jax.data.video import video_file
from lofi_jax.errors import UserError
from lofi_jax.files import aside, read_own_json, write_json

SHARD_BYTES = 256 << 20
# Roughly what a JPEG of quality 95 takes.
_BYTES_PER_PIXEL = 0.25
# JPEGs do not get smaller, and a snippet is read by itself.
_OPTIONS = "group_size:1,uncompressed"


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """Some videos of one split, which share a file.

    Attributes:
        split: its name.
        number, count: the shard's place in its split, and how many that has.
        jobs: the videos.
        made_from: a hash of everything that determines it, except the videos' content.
    """

    split: str
    number: int
    count: int
    jobs: Sequence[Job]
    made_from: str


def plan(
    jobs: Mapping[str, Sequence[Job]], classes: Sequence[str], sampling: Sampling
) -> list[Shard]:
    """Divides each split's videos into shards of about `SHARD_BYTES`, in order."""
    frame = _BYTES_PER_PIXEL * sampling.short_side**2 * 16 / 9
    shards = []
    for split, chosen in jobs.items():
        groups: list[list[Job]] = []
        room = 0.0
        for job in chosen:
            # With a fixed number of snippets a video's length does not matter.
            seconds = seconds_of(job) if sampling.snippets_per_second else 0.0
            size = frame * sampling.frames_in(seconds)
            if not groups or size > room:
                groups.append([])
                room = SHARD_BYTES
            groups[-1].append(job)
            room -= size
        shards += [
            Shard(split, i, len(groups), group, _hash(group, classes, sampling))
            for i, group in enumerate(groups)
        ]
    return shards


def _hash(jobs: Sequence[Job], classes: Sequence[str], sampling: Sampling) -> str:
    videos = [
        [
            job.video.video_id,
            job.video.duration,
            job.video.segments.tolist(),
            job.video.labels,
            job.path.name,
            job.size,
            job.modified,
        ]
        for job in jobs
    ]
    text = json.dumps([VERSION, classes, dataclasses.astuple(sampling), videos])
    return hashlib.sha256(text.encode()).hexdigest()


def seconds_of(job: Job) -> float:
    """A video's duration in seconds as annotated, else as its file states it; 0 where neither
    tells.
    """
    if job.video.duration:
        return job.video.duration
    with contextlib.suppress(video_file.VideoError):
        return video_file.stated_duration(job.path)
    return 0.0


@dataclasses.dataclass(frozen=True)
class Finished:
    """What a finished shard holds.

    Attributes:
        videos: what is known of each that is in it, see `metadata.of`.
        snippets: how many examples that makes.
        problems: what was wrong with its videos, as [reason, entry].
    """

    videos: list[dict[str, Any]]
    snippets: int
    problems: list[list[str]]


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes the shards of one dataset; travels to other processes and machines that see its
    folder.

    Attributes:
        name: of the dataset.
        folder: of the unfinished dataset: data/ becomes the dataset, finished/ tells what is in it.
        classes: names; a label is an index into them.
        sampling: how a video is stored.
    """

    name: str
    folder: pathlib.Path
    classes: tuple[str, ...]
    sampling: Sampling

    @property
    def data(self) -> pathlib.Path:
        """The folder that becomes the dataset."""
        return self.folder / "data"

    def example(self, job: Job) -> examples.Example:
        """One video's examples."""
        return examples.make(job, self.classes, self.sampling)

    def write(self, shard: Shard, made: Iterable[examples.Example] | None = None) -> None:
        """Writes a shard's file, and then the note that it is finished.

        Args:
            made: the examples of its videos, in their order; None makes them one after the other.

        Raises:
            OSError, RuntimeError: the disk is full or cannot be written.
        """
        videos, snippets, problems = [], 0, []
        # Beam may have two workers write one shard; the last to finish wins, with the same bytes.
        with aside(self._path(shard)) as unfinished:
            file = array_record_module.ArrayRecordWriter(str(unfinished), _OPTIONS)
            for example in map(self.example, shard.jobs) if made is None else made:
                problems += map(list, example.problems)
                for serialized in example.serialized:
                    file.write(serialized)
                snippets += len(example.serialized)
                if example.known is not None:
                    videos.append(example.known)
            file.close()
        note = {"made_from": shard.made_from}
        note |= dataclasses.asdict(Finished(videos, snippets, problems))
        write_json(self._note(shard), note)

    def finished(self, shard: Shard) -> Finished | None:
        """What a finished shard holds; None where it is not, or was made from other input."""
        try:
            note = read_own_json(self._note(shard))
        except UserError:
            return None  # there is none, or it was cut short
        if note.pop("made_from") != shard.made_from or not self._path(shard).exists():
            return None
        return Finished(**note)

    def finish_of(self, shard: Shard) -> Finished:
        """What a shard holds that must be finished.

        Raises:
            UserError: it is not: another hand has deleted or changed it since.
        """
        finished = self.finished(shard)
        if finished is None:
            raise UserError(
                f"{self._path(shard)}: was deleted or changed while the dataset was made: run the"
                " same command again"
            )
        return finished

    def discard_others(self, shards: Iterable[Shard]) -> None:
        """Deletes leftovers of killed builds, or of builds from other input."""
        kept = [shard for shard in shards if self.finished(shard) is not None]
        known = {self._path(shard) for shard in kept} | {self._note(shard) for shard in kept}
        for folder in (self.data, self.folder / "finished"):
            for path in folder.glob("*"):
                if path not in known:
                    path.unlink()

    def split_infos(self, shards: Sequence[Shard]) -> list[tfds.core.SplitInfo]:
        """The splits for TFDS, once all shards are finished."""
        splits: dict[str, list[Shard]] = {}
        for shard in shards:
            splits.setdefault(shard.split, []).append(shard)
        return [
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[self.finish_of(shard).snippets for shard in chosen],
                num_bytes=sum(self._path(shard).stat().st_size for shard in chosen),
                filename_template=self._template(split),
            )
            for split, chosen in splits.items()
        ]

    def discard(self) -> None:
        """Deletes all that is unfinished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _template(self, split: str) -> tfds.core.ShardedFileTemplate:
        return tfds.core.ShardedFileTemplate(
            data_dir=epath.Path(self.data),
            dataset_name=self.name,
            split=split,
            filetype_suffix=FILE_FORMAT,
        )

    def _path(self, shard: Shard) -> pathlib.Path:
        template = self._template(shard.split)
        return pathlib.Path(
            template.sharded_filepath(shard_index=shard.number, num_shards=shard.count)
        )

    def _note(self, shard: Shard) -> pathlib.Path:
        return self.folder / "finished" / f"{self._path(shard).name}.json"
