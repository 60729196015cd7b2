"""The datasets of a run: the target's untrimmed videos and the source's trimmed clips."""

import dataclasses
import functools
from collections.abc import Sequence

from lofi_jax.config import Config, rows_of
from lofi_jax.config.settings import Data
from lofi_jax.data.annotations import folds, formats
from lofi_jax.data.annotations.activitynet import Annotations, Video
from lofi_jax.data.annotations.windows import Window, to_train_on
from lofi_jax.data.loader.trimmed_clips import Actions
from lofi_jax.data.loader.window_clips import WindowRecords
from lofi_jax.data.record import Record
from lofi_jax.data.subset import Subset
from lofi_jax.data.video.sample_times import snippets_in
from lofi_jax.detection.metrics import Instances
from lofi_jax.detection.windows import Windows
from lofi_jax.errors import UserError
from lofi_jax.results import ground_truth, predictions
from lofi_jax.run import sources
from lofi_jax.run.sources import Records
from lofi_jax.run.start import Run


@dataclasses.dataclass(frozen=True)
class Target:
    """The target dataset.

    Attributes:
        train, test: random access to stored videos; empty where all rows work on external features.
        train_videos, test_videos: their annotations, in the same order.
        classes: names; a label is an index into them.
        windows: how long videos are cut; None: whole videos are resampled to one length.
    """

    train: Records
    test: Records
    train_videos: list[Video]
    test_videos: list[Video]
    classes: tuple[str, ...]
    windows: Windows | None

    def __post_init__(self):
        for key, videos in (("train_subset", self.train_videos), ("test_subset", self.test_videos)):
            if not any(video.labels for video in videos):
                raise UserError(
                    f"no video of config.data.{key} has an annotated segment: name another subset"
                )

    @property
    def videos(self) -> list[Video]:
        """Training and test videos."""
        return [*self.train_videos, *self.test_videos]

    @property
    def most_instances(self) -> int:
        """The largest number of segments in any training example, to which batches are padded."""
        whole = [window.video for window in self.training_windows] if self.windows else self.videos
        return max(len(v.labels) for v in whole)

    @functools.cached_property
    def training_windows(self) -> list[Window]:
        """The windows of the training videos to train on; none where videos are not cut.

        Raises:
            UserError: there is none.
        """
        windows = self.windows
        if windows is None:
            return []
        lengths = [snippets_in(v.known_duration, windows.rate, 0) for v in self.train_videos]
        chosen = to_train_on(self.train_videos, lengths, windows)
        if not chosen:
            raise UserError(
                f"no window of {windows.seconds:g} s holds a whole annotated segment: raise"
                " config.data.window"
            )
        return chosen

    @property
    def training_examples(self) -> int:
        """How many videos, or windows, heads train on per epoch."""
        return len(self.training_windows if self.windows else self.train_videos)

    def test_instances(self) -> Instances:
        """The test videos' ground truth for the metrics."""
        videos = {video.video_id: video for video in self.test_videos}
        return ground_truth.ground_truth(videos, self.classes)

    def as_instances(self, found: predictions.Predictions) -> Instances:
        """Predictions of the test videos for the metrics."""
        ids = [video.video_id for video in self.test_videos]
        return predictions.instances(found, ids, self.classes)


@dataclasses.dataclass(frozen=True)
class Source:
    """The source dataset of stage 1.

    Attributes:
        records: the videos that have a segment.
        actions: their segments, each of which gives an epoch a clip.
        classes: names.
    """

    records: Subset[Record]
    actions: Actions
    classes: tuple[str, ...]


def prepare(run: Run, wait: bool) -> None:
    """Prepares the datasets that the run reads, if it needs any videos.

    Args:
        wait: for another process that makes them; see `locks.only`.
    """
    if needs_no_videos(run.config):
        print(f"target: {len(target(run).videos)} videos, of which only features are needed")
    else:
        sources.prepare(run, wait)


def target(run: Run) -> Target:
    """The prepared target dataset.

    Raises:
        UserError: it has not been prepared, or a subset of the config is not in it.
    """
    return run.once(_target)


def _target(run: Run) -> Target:
    if needs_no_videos(run.config):
        return _annotated(run)
    data, opened = run.config.data, sources.target(run).open(run)
    windows, records, videos = windows_of(run.config), opened.records, opened.videos
    if data.fold < 0:
        train, test = data.train_subset, data.test_subset
        return Target(
            records(train), records(test), videos(train), videos(test), opened.classes, windows
        )
    both, annotated = records(data.train_subset), videos(data.train_subset)
    train, test = _split(formats.load(data.annotations), data, annotated)
    return Target(
        Subset(both, list(train)),
        Subset(both, list(test)),
        list(train.values()),
        list(test.values()),
        opened.classes,
        windows,
    )


def _split(
    parsed: Annotations, data: Data, videos: Sequence[Video]
) -> tuple[dict[int, Video], dict[int, Video]]:
    """The videos to train on, and those of the fold to test, which become the test subset; by their
    places.
    """
    ids = [video.video_id for video in videos]
    train, test = folds.split(parsed, data.train_subset, data.fold, ids)
    tested = {i: dataclasses.replace(videos[i], subset=data.test_subset) for i in test}
    return {i: videos[i] for i in train}, tested


def needs_no_videos(config: Config) -> bool:
    """Whether all rows work on external features."""
    return all(row.start == "external" for row in rows_of(config))


def _annotated(run: Run) -> Target:
    """The target dataset from its annotation file alone, without videos."""
    data = run.config.data
    parsed = formats.load(data.annotations)
    train = list(parsed.subset(data.train_subset).values())
    if data.fold < 0:
        test = list(parsed.subset(data.test_subset).values())
    else:
        train, test = (list(part.values()) for part in _split(parsed, data, train))
    for video in [*train, *test]:
        if not video.duration:
            raise UserError(f"{data.annotations}: video {video.video_id!r} has no duration")
    return Target((), (), train, test, parsed.classes, windows_of(run.config))


def windows_of(config: Config) -> Windows | None:
    """How the target's videos are cut into windows, if they are."""
    data = config.data
    if not data.window:
        return None
    return Windows(data.window, data.window_overlap, data.snippets_per_second)


def length(config: Config, duration: float) -> int:
    """How many snippets a video of `duration` seconds has."""
    rate = config.data.snippets_per_second
    return snippets_in(duration, rate, config.data.snippets)


def joint_examples(run: Run) -> Records:
    """The records for joint training: whole videos, or windows of them."""
    own = target(run)
    if own.windows is None:
        return own.train
    return WindowRecords(
        own.train, own.training_windows, own.windows, run.config.data.frames, own.classes
    )


def target_clips(run: Run, subset: str = "") -> Source:
    """The target's own foreground segments as clips, of its training videos or another subset."""
    if subset:
        return _clips(sources.target(run).open(run), subset)
    own = target(run)
    return _source(own.train, own.train_videos, own.classes)


def source(run: Run, subset: str = "") -> Source:
    """The clips for stage 1: the source dataset's, or the target's own where there is none."""
    part = sources.source(run)
    if part is None:
        return target_clips(run, subset)
    return _clips(part.open(run), subset or run.config.source.train_subset)


def _clips(opened: sources.Opened, subset: str) -> Source:
    return _source(opened.records(subset), opened.videos(subset), opened.classes)


def _source(records: Records, videos: list[Video], classes: tuple[str, ...]) -> Source:
    """The source that some videos make.

    Raises:
        UserError: none has a segment.
    """
    numbers = [i for i, video in enumerate(videos) if video.labels]
    if not numbers:
        raise UserError("no training video has an annotated segment")
    chosen = Subset(records, numbers)
    return Source(chosen, Actions(chosen, [len(videos[i].labels) for i in numbers]), classes)
