"""The Grain pipeline from stored videos to batches of uint8 clips at any fidelity.

Everything random is a function of the seed and of the example's place in the stream, so the same seed gives the same
batches however many workers there are, and a restored iterator goes on with the very next batch.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grain
import numpy as np

from lofi_jax.data import decode
from lofi_jax.data.instances import pad_instances
from lofi_jax.data.stream import THREADS, Reader, Share, Stream
from lofi_jax.fidelity import Fidelity, snippet_indices

Record = Mapping[str, Any]
Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What varies from one reading of a video to the next.

    Attributes:
        crop_area: lowest and highest part of the picture that a random crop keeps; (1, 1) crops the centre.
        flip: mirror half of the videos.
    """

    crop_area: tuple[float, float] = (1.0, 1.0)
    flip: bool = False

    def crop(self, size, fidelity: Fidelity, rng: np.random.Generator) -> decode.Crop:
        aspect = fidelity.width / fidelity.height
        if tuple(self.crop_area) == (1.0, 1.0) and not self.flip:
            return decode.centre_crop(*size, aspect)
        return decode.random_crop(*size, aspect, self.crop_area, self.flip, rng)


NONE = Augmentation()


def read_snippets(
    record: Record, snippets: np.ndarray, frames: int, fidelity: Fidelity, crop: decode.Crop
) -> np.ndarray:
    """Decodes the given stored snippets of a video and no other.

    Returns:
        (snippets, frames, height, width, 3) uint8 RGB.
    """
    size = (int(record["height"]), int(record["width"]))
    shape = (len(snippets), frames, fidelity.height, fidelity.width, 3)
    clip = np.empty(shape, np.uint8)
    for i, snippet in enumerate(snippets):
        for j in range(frames):
            jpeg = record["frames"][snippet * frames + j]
            decode.decode(jpeg, size, crop, fidelity.height, fidelity.width, out=clip[i, j])
    return clip


@dataclasses.dataclass(frozen=True)
class WholeVideo(grain.transforms.MapWithIndex):
    """A record as an untrimmed video: all its snippets at the fidelity of its place in the stream, and its segments."""

    fidelity_at: Callable[[int], Fidelity]
    frames: int
    instances: int
    augmentation: Augmentation
    seed: int

    def map_with_index(self, index: int, record: Record) -> Batch:
        fidelity = self.fidelity_at(index)
        rng = np.random.default_rng([self.seed, index])
        crop = self.augmentation.crop((record["height"], record["width"]), fidelity, rng)
        chosen = snippet_indices(len(record["frames"]) // self.frames, fidelity.snippets)
        clip = read_snippets(record, chosen, self.frames, fidelity, crop)
        segments = np.asarray(record["segments"]).reshape(-1, 2) / float(record["duration"])
        named = {"frames": clip, "video_id": record["video_id"]}
        return named | pad_instances(segments, record["labels"], self.instances)


@dataclasses.dataclass(frozen=True)
class ForegroundSnippet(grain.transforms.MapWithIndex):
    """A record as a trimmed clip: one snippet from inside one of its segments, and that segment's label.

    With an augmentation the segment and the snippet are drawn at random, else they are the middle ones.
    """

    fidelity: Fidelity
    frames: int
    augmentation: Augmentation
    seed: int

    def map_with_index(self, index: int, record: Record) -> Batch:
        rng = np.random.default_rng([self.seed, index])
        crop = self.augmentation.crop((record["height"], record["width"]), self.fidelity, rng)
        stored = len(record["frames"]) // self.frames
        segments = np.asarray(record["segments"]).reshape(-1, 2)
        middle = self.augmentation == NONE
        instance = len(segments) // 2 if middle else rng.integers(len(segments))
        start, end = segments[instance] / float(record["duration"]) * stored
        centres = np.arange(stored) + 0.5
        inside = np.flatnonzero((centres >= start) & (centres <= end))
        if not len(inside):
            inside = np.array([np.abs(centres - (start + end) / 2).argmin()])
        snippet = inside[len(inside) // 2] if middle else rng.choice(inside)
        clip = read_snippets(record, np.array([snippet]), self.frames, self.fidelity, crop)
        return {"frames": clip[0], "label": np.int32(record["labels"][instance])}


def training_batches(
    source: Sequence[Record],
    transformation: grain.transforms.MapWithIndex | None,
    batch_size: int,
    seed: int,
    workers: int = 0,
    process: tuple[int, int] = (0, 1),
) -> grain.IterDataset:
    """An endless stream of shuffled batches, each video once an epoch; the remainder of an epoch joins the next.

    Args:
        source: random access to examples.
        transformation: `WholeVideo` or `ForegroundSnippet`, which gets each example's place in the stream; None when
            the source's examples are ready as they are.
        batch_size: examples a batch, over all processes.
        seed: of the order.
        workers: processes that read ahead; 0 reads ahead in threads of this one.
        process: (index, count): this process gets the rows index * B / count to (index + 1) * B / count of every
            batch of B, which are what they are in a single process.

    Raises:
        UserError: the processes cannot share a batch evenly.
    """
    examples = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
    if transformation is not None:
        examples = examples.map_with_index(transformation)
    share = Share(examples, batch_size, process)
    batches = share.batch(batch_size // process[1], drop_remainder=True)
    return Stream(Reader(batches, workers))


def evaluation_batches(
    source: Sequence[Record], transformation: grain.transforms.MapWithIndex, batch_size: int
) -> grain.IterDataset:
    """Every example once, in order; the last batch may be smaller."""
    dataset = grain.MapDataset.source(source).map_with_index(transformation)
    return dataset.batch(batch_size).to_iter_dataset(THREADS)
