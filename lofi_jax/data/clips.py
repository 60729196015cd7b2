"""The Grain pipeline from stored videos to batches of uint8 clips at any fidelity.

Everything random is a function of the seed and of the example's place in the stream, so the same seed gives the same
batches however many workers there are, and a restored iterator goes on with the very next batch.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grain
import numpy as np

from lofi_jax.data import decode, streaming
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
    """Decodes the given snippets of a video and no other.

    Returns:
        (snippets, frames, height, width, 3) uint8 RGB.
    """
    numbers = np.asarray(snippets)[:, None] * frames + np.arange(frames)
    clip = read_frames(record, numbers.ravel(), fidelity, crop)
    return clip.reshape(numbers.shape + clip.shape[1:])


def read_frames(
    record: Record, numbers: np.ndarray, fidelity: Fidelity, crop: decode.Crop
) -> np.ndarray:
    """Decodes the given frames of a video, stored as JPEGs or in the video's own file.

    Returns:
        (frames, height, width, 3) uint8 RGB.
    """
    size = (int(record["height"]), int(record["width"]))
    wanted = [record["frames"][number] for number in numbers]
    if isinstance(wanted[0], streaming.FrameAt):
        return streaming.read(wanted, size, crop, fidelity.height, fidelity.width)
    clip = np.empty((len(wanted), fidelity.height, fidelity.width, 3), np.uint8)
    for jpeg, out in zip(wanted, clip, strict=True):
        decode.decode(jpeg, size, crop, fidelity.height, fidelity.width, out)
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
        transformation: such as `WholeVideo`, which gets each example's place in the stream; None when
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
