"""The stream of batches: the same for any workers and processes, resumable at any batch, nothing
lost or doubled.
"""

import pathlib
import time

import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest
from grain.checkpoint import CheckpointRestore, CheckpointSave

from lofi_jax.data.loader import clips
from lofi_jax.errors import UserError


class Numbers:
    """Seven examples; picklable into workers."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return {"number": i}


class Drawn(grain.transforms.MapWithIndex):
    """An example's number, its place in the stream and something random that depends on it."""

    def map_with_index(self, index, example):
        drawn = np.random.default_rng([5, index]).random(50)
        return {"number": np.int64(example["number"]), "index": np.int64(index), "drawn": drawn}


def stream(batch_size=4, seed=3, workers=0, process=(0, 1)):
    return clips.training_batches(Numbers(), Drawn(), batch_size, seed, workers, process)


def take(iterator, count):
    """So many batches, copied: a worker's array is gone with its batch."""
    return [{k: np.array(v) for k, v in next(iterator).items()} for _ in range(count)]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


@pytest.fixture(scope="module")
def expected():
    return take(iter(stream()), 9)


def test_examples_stand_in_their_place_in_the_stream(expected):
    indices = np.concatenate([batch["index"] for batch in expected])
    np.testing.assert_array_equal(indices, np.arange(36))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(expected, workers):
    iterator = iter(stream(workers=workers))
    assert_same(take(iterator, 9), expected)
    iterator.close()


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (2, 1), (0, 2)])
def test_a_saved_iterator_goes_on_with_the_next_batch(expected, tmp_path, before, after):
    iterator = iter(stream(workers=before))
    take(iterator, 4)
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        saved = tmp_path / "saved"
        checkpointer.save(saved, args=ocp.args.Composite(loader=CheckpointSave(iterator)))
        iterator.close()
        resumed = iter(stream(workers=after))
        checkpointer.restore(saved, args=ocp.args.Composite(loader=CheckpointRestore(resumed)))
    assert_same(take(resumed, 5), expected[4:])
    resumed.close()


@pytest.mark.parametrize(("count", "workers"), [(1, 0), (4, 0), (2, 2)])
def test_an_epoch_holds_every_video_once_whoever_reads_it(count, workers):
    iterators = [iter(stream(workers=workers, process=(i, count))) for i in range(count)]
    seen = [n for _ in range(7) for it in iterators for n in take(it, 1)[0]["number"]]
    assert len(seen) == 4 * 7
    for epoch in range(4):
        assert sorted(seen[7 * epoch : 7 * epoch + 7]) == list(range(7))
    for iterator in iterators:
        iterator.close()


@pytest.mark.parametrize("count", [2, 4])
def test_processes_get_the_rows_of_the_one_process_batch(expected, count):
    shares = [take(iter(stream(process=(i, count))), 9) for i in range(count)]
    joined = [
        {key: np.concatenate([share[key] for share in parts]) for key in parts[0]}
        for parts in zip(*shares, strict=True)
    ]
    assert_same(joined, expected)


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(UserError, match="a batch of 4 cannot be shared by 3 processes"):
        stream(process=(0, 3))


def test_another_seed_gives_another_order(expected):
    other = take(iter(stream(seed=4)), 9)
    assert any((a["number"] != b["number"]).any() for a, b in zip(other, expected, strict=True))


def test_workers_hand_over_shared_memory_and_leave_none_behind():
    iterator = iter(stream(workers=1))
    kept = next(iterator)
    drawn = kept["drawn"].copy()
    blocks = []
    for _ in range(20):
        batch = next(iterator)
        blocks += [pathlib.Path("/dev/shm", batch[key].shm.name) for key in batch]
        assert blocks[-1].exists()
    # What is still held stays as it was, however many batches came after it.
    np.testing.assert_array_equal(kept["drawn"], drawn)
    del batch
    iterator.close()
    # Grain frees in a thread of its own.
    patience = time.monotonic() + 20
    while any(path.exists() for path in blocks) and time.monotonic() < patience:
        time.sleep(0.02)
    assert not any(path.exists() for path in blocks)
