"""The Grain pipeline from stored videos to batches of uint8 clips at any fidelity.

All randomness is a function of the seed and the example's index in the stream. So the same seed
gives the same batches with any number of workers, and a restored iterator continues with the very
next batch.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import grain
import numpy as np

from lofi_jax.data.annotations.padding import pad_instances
from lofi_jax.data.loader.batch_memory import BatchMemory
from lofi_jax.data.loader.batches import THREADS, Reader, Share, Stream
from lofi_jax.data.loader.image_changes import Change, ImageChanges, apply
from lofi_jax.data.random_access import RandomAccess
from lofi_jax.data.record import Record
from lofi_jax.data.video import jpeg
from lofi_jax.fidelity import Fidelity, snippet_indices

Batch = dict[str, np.ndarray]
Example = dict[str, Any]  # of a batch: arrays, scalars and text, and its frames as a `Clip`


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random augmentation of a video.

    Attributes:
        crop_area: least and largest fraction of the image that a random crop keeps; (1, 1) crops
            the centre.
        flip: mirror half of the videos.
        changes: of the images.
    """

    crop_area: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    changes: ImageChanges = ImageChanges()

    def crop(
        self, size: tuple[int, int], fidelity: Fidelity, rng: np.random.Generator
    ) -> jpeg.Crop:
        aspect = fidelity.width / fidelity.height
        if tuple(self.crop_area) == (1.0, 1.0) and not self.flip:
            return jpeg.centre_crop(*size, aspect)
        return jpeg.random_crop(*size, aspect, self.crop_area, self.flip, rng)


NONE = Augmentation()


@runtime_checkable
class Transformation(Protocol):
    """Makes of a record an example, whose random part depends on its place in the stream alone."""

    def map_with_index(self, index: int, record: Any, /) -> Example:
        """The example of a record that is the stream's number `index`."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """Frames of a video that are read and decoded on demand, straight into their batch.

    Attributes:
        record: the video.
        numbers: the frames wanted, an array of any shape.
        fidelity: its size in pixels.
        crop: the part of the image.
        changes: of all its images, in order.
    """

    record: Record
    numbers: np.ndarray
    fidelity: Fidelity
    crop: jpeg.Crop
    changes: tuple[Change, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the numbers, then (height, width, 3)."""
        return (*np.shape(self.numbers), self.fidelity.height, self.fidelity.width, 3)

    def read(self, out: np.ndarray | None = None) -> np.ndarray:
        """Decodes into `out`, or into a new array: uint8 RGB of `shape`."""
        if out is None:
            out = np.empty(self.shape, np.uint8)
        clip = out.reshape(-1, *out.shape[-3:])
        self.record.frames.read(np.ravel(self.numbers), self.record.size, self.crop, clip)
        apply(self.changes, clip)
        return out


def snippets_of(
    record: Record,
    snippets: np.ndarray,
    frames: int,
    fidelity: Fidelity,
    crop: jpeg.Crop,
    changes: tuple[Change, ...] = (),
) -> Clip:
    """The given snippets of a video: a clip of (snippets, frames, height, width, 3)."""
    numbers = np.asarray(snippets)[:, None] * frames + np.arange(frames)
    return Clip(record, numbers, fidelity, crop, changes)


class Stack:
    """Collates examples to a batch; clips are decoded here."""

    def __init__(self):
        self._memory = BatchMemory()

    def __call__(self, examples: Sequence[Example]) -> Batch:
        return {key: self._stack([example[key] for example in examples]) for key in examples[0]}

    def _stack(self, values: Sequence[Any]) -> np.ndarray:
        if not isinstance(values[0], Clip):
            return np.stack(values)
        batch = self._memory.empty((len(values), *values[0].shape))
        for clip, row in zip(values, batch, strict=True):
            clip.read(row)
        return batch


@dataclasses.dataclass(frozen=True)
class WholeVideo:
    """A record as an untrimmed video: all its snippets at the fidelity for its index in the stream,
    and its segments.
    """

    fidelity_at: Callable[[int], Fidelity]
    frames: int
    instances: int
    augmentation: Augmentation
    seed: int

    def map_with_index(self, index: int, record: Record) -> Example:
        fidelity = self.fidelity_at(index)
        rng = np.random.default_rng([self.seed, index])
        crop = self.augmentation.crop(record.size, fidelity, rng)
        chosen = snippet_indices(len(record.frames) // self.frames, fidelity.snippets)
        changes = self.augmentation.changes.draw(rng)
        clip = snippets_of(record, chosen, self.frames, fidelity, crop, changes)
        segments = record.segments / record.duration
        named = {"frames": clip, "video_id": record.video_id}
        return named | pad_instances(segments, record.labels, self.instances)


def training_batches(
    source: RandomAccess[Any],
    transformation: Transformation | None,
    batch_size: int,
    seed: int,
    workers: int = 0,
    process: tuple[int, int] = (0, 1),
) -> grain.IterDataset:
    """An endless stream of shuffled batches, each video once per epoch; an epoch's remainder joins
    the next.

    Args:
        source: random access to examples.
        transformation: such as `WholeVideo`, which gets each example's index in the stream; None if
            the source's examples are ready.
        batch_size: examples per batch, over all processes.
        seed: of the order.
        workers: processes that read ahead; 0: threads of this one.
        process: (index, count): this process gets the rows index * B / count to (index + 1) * B /
            count of every batch of B, the same as in a single process.

    Raises:
        UserError: the processes cannot share a batch evenly.
    """
    examples = _dataset(source).seed(seed).shuffle().repeat()
    if transformation is not None:
        examples = examples.map_with_index(transformation.map_with_index)
    share = Share(examples, batch_size, process)
    batches = share.batch(batch_size // process[1], drop_remainder=True, batch_fn=Stack())
    return Stream(Reader(batches, workers))


def _dataset(source: RandomAccess[Any]) -> grain.MapDataset:
    # Grain asks for the argument's name too, and uses neither it nor more of a sequence.
    return grain.MapDataset.source(cast(Sequence[Any], source))


def evaluation_batches(
    source: RandomAccess[Any], transformation: Transformation, batch_size: int
) -> grain.IterDataset:
    """Every example once, in order; the last batch may be smaller."""
    dataset = _dataset(source).map_with_index(transformation.map_with_index)
    return dataset.batch(batch_size, batch_fn=Stack()).to_iter_dataset(THREADS)
