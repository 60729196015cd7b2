"""An endless stream of batches, the same for any number of workers, resumable at any batch.

The position in the stream is the number of batches taken, whatever the workers and processes. So a
training resumes exactly where it stopped, even with other workers.
"""

import dataclasses
from typing import Any

import grain

from lofi_jax.data.workers import end_with_parent
from lofi_jax.errors import UserError

THREADS = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)


class Share(grain.MapDataset):
    """One process's rows of every batch: part `index` of `count`, in order.

    The rows keep their index in the whole stream, so their randomness is that of a single process.

    Args:
        examples: the stream of examples, batch after batch.
        batch_size: of the whole batch.
        process: (index, count).

    Raises:
        UserError: the processes cannot share a batch evenly.
    """

    def __init__(self, examples: grain.MapDataset, batch_size: int, process: tuple[int, int]):
        super().__init__(examples)
        index, count = process
        if batch_size % count:
            raise UserError(
                f"a batch of {batch_size} cannot be shared by {count} processes: change the"
                " batch_size"
            )
        self._batch_size, self._rows = batch_size, batch_size // count
        self._first = index * self._rows

    def __len__(self) -> int:
        return len(self.parents[0]) // self._batch_size * self._rows

    def __getitem__(self, i) -> Any:
        if isinstance(i, slice):
            return self.slice(i)
        batch, row = divmod(i, self._rows)
        return self.parents[0][batch * self._batch_size + self._first + row]


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads batches ahead, in threads of this process or in worker processes.

    Workers pass arrays through shared memory, which Grain frees with the last reference.

    Attributes:
        batches: random access to them.
        workers: processes; 0: threads.
    """

    batches: grain.MapDataset
    workers: int

    def __call__(self, first: int) -> grain.DatasetIterator:
        """The batches from index `first` on."""
        ahead = self.batches[first:].to_iter_dataset(THREADS)
        if self.workers:
            options = grain.MultiprocessingOptions(num_workers=self.workers)
            ahead = ahead.mp_prefetch(options, worker_init_fn=end_with_parent)
        return iter(ahead)


class Stream(grain.IterDataset):
    """Iterates over a `Reader`, from the first batch or a saved position."""

    def __init__(self, reader: Reader):
        super().__init__()
        self._reader = reader

    def __iter__(self) -> grain.DatasetIterator:
        return _Position(self._reader)


class _Position(grain.DatasetIterator):
    """The state is the number of batches taken; nothing is read before the first request."""

    def __init__(self, reader: Reader):
        super().__init__()
        self._reader, self._taken, self._ahead = reader, 0, None

    def __next__(self):
        self._assert_not_closed()
        if self._ahead is None:
            self._ahead = self._reader(self._taken)
        batch = next(self._ahead)
        self._taken += 1
        return batch

    def get_state(self) -> dict:
        return {"batches": self._taken}

    def set_state(self, state: dict) -> None:
        self._stop()
        self._taken = state["batches"]

    def close(self) -> None:
        super().close()
        self._stop()

    def _stop(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
