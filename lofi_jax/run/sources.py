"""The two datasets of a run on disk, target and source: their place, sampling, preparation and
opening.
"""

import dataclasses
import pathlib
from typing import Protocol, runtime_checkable

from lofi_jax.config import Config
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.ingest import video_folder
from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.data.prepared import dataset, records
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.data.record import Record
from lofi_jax.data.streamed import scan, speed
from lofi_jax.data.world import builtin
from lofi_jax.errors import UserError
from lofi_jax.files import read_own_json, write_json
from lofi_jax.run.start import Run
from lofi_jax.training.progress import Progress

Records = RandomAccess[Record]


@runtime_checkable
class Opened(Protocol):
    """A dataset that is ready to be read, whether it was prepared or is streamed from its video
    files.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Names; a record's labels are indices into them."""
        ...

    def records(self, split: str) -> Records:
        """A subset's records by number; a `UserError` when there are none."""
        ...

    def videos(self, split: str) -> list[Video]:
        """Their annotations, in the same order."""
        ...


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A folder of videos with an annotation file, and how they are sampled."""

    name: str
    video_dir: str | pathlib.Path
    annotations: str | pathlib.Path
    sampling: Sampling

    def open(self, run: Run) -> Opened:
        """The dataset, which `prepare` has made.

        Raises:
            UserError: it has not been made.
        """
        if run.config.data.streaming:
            return scan.load(self.name, self.video_dir, _data_dir(run), self.sampling)
        return _Prepared(records.load(_data_dir(run), self.name, self.sampling))


class _Prepared:
    """A TFDS dataset as `Opened`."""

    def __init__(self, builder):
        self._builder = builder

    @property
    def classes(self) -> tuple[str, ...]:
        return records.class_names(self._builder)

    def records(self, split: str) -> Records:
        return records.Records(self._builder, split)

    def videos(self, split: str) -> list[Video]:
        return records.videos(self._builder, split)


def target(run: Run) -> Dataset:
    """The untrimmed videos."""
    return _dataset(run, "target", run.config.data, sampling_of(run.config))


def source(run: Run) -> Dataset | None:
    """The trimmed clips; None where stage 1 uses the target's own videos."""
    config = run.config
    if config.dataset != "synthetic" and not config.source.video_dir:
        return None
    sampling = dataclasses.replace(
        sampling_of(config),
        snippets=config.source.snippets,
        snippets_per_second=config.source.snippets_per_second,
    )
    if config.source.sampling != "snippet":
        # Clips are drawn from equally spaced frames.
        sampling = dataclasses.replace(sampling, stride=0)
    return _dataset(run, "source", config.source, sampling)


def _dataset(run: Run, side: str, files, sampling: Sampling) -> Dataset:
    if run.config.dataset == "synthetic":
        folder = _world(run) / side
        made = folder / "videos", folder / "annotations.json"
        return Dataset(f"synthetic_{side}", *made, sampling)
    name = run.config.dataset if side == "target" else f"{run.config.dataset}_source"
    return Dataset(name, files.video_dir, files.annotations, sampling)


def sampling_of(config: Config) -> Sampling:
    """How the target's videos are sampled and stored."""
    data = config.data
    return Sampling(
        data.snippets,
        data.frames,
        data.stride,
        data.short_side,
        data.quality,
        data.snippets_per_second,
    )


def prepare(run: Run, wait: bool) -> None:
    """Renders the built-in world if the config asks for it, then prepares or scans both
    datasets.

    Args:
        wait: for another process that makes them; see `locks.only`.
    """
    config = run.config
    if config.dataset == "synthetic":
        world = config.synthetic
        builtin.generate(
            _world(run),
            world.world,
            config.seed,
            world.source_clips,
            world.train_videos,
            world.test_videos,
        )
    for one in filter(None, (target(run), source(run))):
        progress = None

        def show(done, total, name=one.name):
            nonlocal progress
            progress = progress or Progress(f"prepare {name}", total, done, unit="videos")
            progress.show(done, {})

        given = one.name, one.video_dir, one.annotations, _data_dir(run), one.sampling
        if config.data.streaming:
            scanned = scan.scan(*given, progress=show, wait=wait)
            report, pace = scanned.report, speed.compare(scanned)
        else:
            _, report = dataset.build(*given, dataset.Work(wait=wait), show, print)
            pace = ""
        if progress:
            progress.close()
        print(f"{one.name}: {report.summary()}")
        if pace:
            print(f"{one.name}: {pace}")
    _note_annotations(run)


def _note_annotations(run: Run) -> None:
    """Notes which annotations the run's trainings learn from.

    Raises:
        UserError: those that are there learnt from others.
    """
    own_source, path = source(run), run.workdir.learned_from
    parts = {"target": target(run), "source": own_source or target(run)}
    now = {side: video_folder.hash_of(one.annotations) for side, one in parts.items()}
    before = read_own_json(path) if path.exists() else now
    if before != now and run.workdir.trainings():
        stages = "pretrain" if before["source"] != now["source"] else "joint,head"
        raise UserError(
            f"{run.workdir.root}: was trained with other annotations: start anew with"
            f" --rerun={stages}, or name another --workdir"
        )
    write_json(path, now)


def _data_dir(run: Run) -> pathlib.Path:
    return pathlib.Path(run.config.data.data_dir or run.workdir.data)


def _world(run: Run) -> pathlib.Path:
    return _data_dir(run) / "world"
