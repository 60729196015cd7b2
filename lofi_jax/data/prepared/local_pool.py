"""Writes shards with threads of one machine: decoding and encoding release Python's lock."""

import collections
import concurrent.futures
import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from lofi_jax.data.ingest.video_folder import Job
from lofi_jax.data.prepared.examples import Example
from lofi_jax.data.prepared.shards import Shard, Writer


def write(
    writer: Writer, shards: Sequence[Shard], workers: int, progress: Callable[[int], None]
) -> None:
    """Writes the shards one after the other, from videos that `workers` threads read ahead.

    Args:
        progress: called after each video with how many are done.
    """
    jobs = [job for shard in shards for job in shard.jobs]
    with contextlib.closing(_ahead(writer.example, jobs, workers)) as made:
        counted = _counting(made, progress)
        for shard in shards:
            writer.write(shard, itertools.islice(counted, len(shard.jobs)))


def _ahead(
    make: Callable[[Job], Example], jobs: Iterable[Job], workers: int
) -> Generator[Example, None, None]:
    """Each job's example, in order."""
    ahead, waiting = iter(jobs), collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                # Examples wait in memory, so threads must not run far ahead of the writing.
                for job in itertools.islice(ahead, 2 * workers - len(waiting)):
                    waiting.append(pool.submit(make, job))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _counting(made: Iterable[Example], progress: Callable[[int], None]) -> Iterator[Example]:
    for done, example in enumerate(made, start=1):
        progress(done)
        yield example
