"""A long video at a rate: many frames, little memory."""

import math
import subprocess
import sys

import commands
import pytest
from small_videos import write_video

from lofi_jax.data.ingest.sampling import Sampling
from lofi_jax.errors import UsageError

GROWTH = """
import resource, sys
from lofi_jax.data.ingest import sampling

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

short, long, how = sys.argv[1], sys.argv[2], sampling.Sampling(1, 10, 0, 480, 95, 1.0)
sampling.read_record(short, how)
before = peak()
record, _ = sampling.read_record(long, how)
print(len(record.frames), sum(map(len, record.frames)), 1024 * (peak() - before))
"""


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("short_side", 10**9, "it must be in [1, 65500]"),
        ("snippets", 0, "it must be at least 1"),
        ("frames", 10**15, "at most 1e+09"),
        ("quality", 101, "it must be in [1, 100]"),
        ("snippets_per_second", math.nan, "it must be at least 0"),
    ],
)
def test_what_no_config_may_say_is_refused(key, value, says):
    with pytest.raises(UsageError) as refused:
        Sampling(**{key: value})
    assert str(refused.value).startswith(f"{key} is {value}: ") and says in str(refused.value)


def test_the_frames_of_a_long_video_are_never_in_memory_together(tmp_path):
    write_video(tmp_path / "short.mp4", 10, 480, 640)
    write_video(tmp_path / "long.mp4", 300, 480, 640)
    command = [sys.executable, "-c", GROWTH, tmp_path / "short.mp4", tmp_path / "long.mp4"]
    root = commands.ROOT
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    frames, stored, grown = map(int, ran.stdout.split())
    raw = frames * 480 * 640 * 3
    assert frames == 300 and raw > 250e6
    assert grown < stored + 0.15 * raw
