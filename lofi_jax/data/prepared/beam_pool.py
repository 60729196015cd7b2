"""Writes shards with Apache Beam, on a cluster or in processes of this machine.

Every machine must see the videos and the data folder under the same paths, as on a shared disk.
Needs the extra lofi_jax[beam].
"""

import threading
from collections.abc import Callable, Sequence

from lofi_jax.data.prepared.shards import Shard, Writer
from lofi_jax.errors import UserError

_SECONDS_BETWEEN_LOOKS = 2.0


def write(
    writer: Writer,
    shards: Sequence[Shard],
    runner: str,
    options: Sequence[str],
    workers: int,
    progress: Callable[[int], None],
) -> None:
    """Writes the shards in any order, each as `Writer.write` does anywhere.

    Args:
        runner: such as "DirectRunner" or "FlinkRunner".
        options: Beam's own, such as "--region=europe-west4".
        workers: processes of the direct runner; other runners have options of their own for it.
        progress: called from time to time with the number of videos in finished shards.

    Raises:
        UserError: Beam is not installed.
    """
    try:
        import apache_beam as beam  # type: ignore  # of an extra
        from apache_beam.options.pipeline_options import PipelineOptions  # type: ignore  # of an extra
    except ImportError as error:
        raise UserError(f"--beam_runner={runner}: pip install 'lofi_jax[beam]' first") from error
    settings = [f"--runner={runner}", *options]
    if runner == "DirectRunner" and workers > 1:
        settings += [f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing"]
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(writer, shards, progress, ended))
    watcher.start()
    try:
        with beam.Pipeline(options=PipelineOptions(settings)) as pipeline:
            written = pipeline | beam.Create(shards) | beam.Reshuffle() | beam.Map(writer.write)
            del written
    finally:
        ended.set()
        watcher.join()


def _watch(
    writer: Writer,
    shards: Sequence[Shard],
    progress: Callable[[int], None],
    ended: threading.Event,
) -> None:
    """Reports finished shards until `ended`, and once after it."""
    left = list(shards)
    done = 0
    while True:
        last = ended.wait(_SECONDS_BETWEEN_LOOKS)
        finished = [shard for shard in left if writer.finished(shard) is not None]
        left = [shard for shard in left if shard not in finished]
        done += sum(len(shard.jobs) for shard in finished)
        if finished:
            progress(done)
        if last:
            return
