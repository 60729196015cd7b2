"""The built-in world: real MP4 files and their annotations, made from a seed alone.

A class is the way an object moves. The source set holds trimmed clips, the action all through; the
target set holds untrimmed videos, where the same object is in view before, between and after its
actions and idles, drifts, jitters or hops. Background, camera, noise and speed shift between them.

In the world "appearance" each class has its own shape, so that classifying clips takes no motion:
the appearance bias of real action datasets. In the world "motion" shape and class are independent.

Only the motion tells an action from a gap. Poses are continuous, actions end in the pose they
began with, what the camera adds is stationary and drawn without regard to the actions, and H.264
runs with a constant quantiser, a fixed interval between key frames and no scene detection.
"""

import concurrent.futures
import dataclasses
import functools
import io
import multiprocessing
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np
import tqdm

from lofi_jax.data.annotations import activitynet
from lofi_jax.data.workers import end_with_parent
from lofi_jax.data.world.scene import SHAPES, SIZE, film
from lofi_jax.data.world.script import CLASSES, WORLDS, Script, trimmed, untrimmed
from lofi_jax.errors import UserError
from lofi_jax.files import aside, read_own_json, write_json

FPS = 8
_SHAPE_OF = dict(zip(CLASSES, SHAPES, strict=True))
_EDITION = 3  # to be raised whenever the same seed would give other videos
_ENCODING = {
    "preset": "superfast",
    "qp": "22",
    "x264-params": "keyint=32:min-keyint=32:scenecut=0:bframes=0",
}


@dataclasses.dataclass(frozen=True)
class Subset:
    """One subset of the source or the target: `count` videos in the folder `side`."""

    side: str
    subset: str
    count: int

    def video_id(self, index: int) -> str:
        return f"{self.side}_{self.subset}_{index:05d}"

    def path(self, index: int) -> pathlib.PurePath:
        prefix = "v_" if self.side == "target" else ""
        return pathlib.PurePath(self.side, "videos", f"{prefix}{self.video_id(index)}.mp4")


class World(NamedTuple):
    """All that determines a world's files."""

    world: str
    seed: int
    source_clips: int
    train_videos: int
    test_videos: int
    edition: int = _EDITION

    def subsets(self) -> tuple[Subset, ...]:
        validation = self.source_clips // 10
        return (
            Subset("source", "training", self.source_clips - validation),
            Subset("source", "validation", validation),
            Subset("target", "training", self.train_videos),
            Subset("target", "testing", self.test_videos),
        )

    def plan(self, subset: Subset, index: int) -> tuple[str, str, Script, np.random.Generator]:
        """Class, shape and script of a video, and its own random stream from there on."""
        key = (WORLDS.index(self.world), self.subsets().index(subset), index)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
        label = CLASSES[index % len(CLASSES)]
        shape = _SHAPE_OF[label] if self.world == "appearance" else str(rng.choice(list(SHAPES)))
        return label, shape, (trimmed if subset.side == "source" else untrimmed)(rng, label), rng

    def render(self, subset: Subset, index: int) -> np.ndarray:
        """The frames of a video before they are encoded, (F, SIZE, SIZE, 3) uint8 RGB."""
        _, shape, script, rng = self.plan(subset, index)
        return film(rng, shape, script.radius, script.poses, busy=subset.side == "target")

    def annotated(self, side: str) -> Iterator[activitynet.Video]:
        for subset in self.subsets():
            for index in range(subset.count if subset.side == side else 0):
                label, _, script, _ = self.plan(subset, index)
                yield activitynet.Video(
                    video_id=subset.video_id(index),
                    subset=subset.subset,
                    duration=len(script.poses) / FPS,
                    segments=script.actions / FPS,
                    labels=(label,) * len(script.actions),
                )


def generate(
    out_dir: str | os.PathLike,
    world: str = "appearance",
    seed: int = 0,
    source_clips: int = 4000,
    train_videos: int = 160,
    test_videos: int = 100,
    workers: int | None = None,
) -> None:
    """Makes a world, or what is missing of it: a finished one is left alone at once.

    Writes `source/videos/<id>.mp4` (8 frames, 1 s; subsets training and validation, the latter a
    tenth), `target/videos/v_<id>.mp4` (256 frames, 32 s; subsets training and testing), an
    `annotations.json` in the ActivityNet form beside each, last, and `world.json`, which names the
    arguments. Files hold the same bytes for the same arguments, however many workers make them and
    however often it is interrupted. Worker processes import the caller's main module, which
    therefore needs the usual `if __name__ == "__main__":`.

    Args:
        out_dir: the folder to fill; made if absent.
        world: "appearance" or "motion".
        seed: at least 0; every video has its own random stream.
        source_clips: trimmed clips, at least 10.
        train_videos: untrimmed videos to train on, at least 1.
        test_videos: untrimmed videos to test on, at least 1.
        workers: processes at work; None for one a core.

    Raises:
        UserError: a bad argument, a folder that holds another world or cannot be written to, a full
            disk, or a worker that ended early.
    """
    made = World(world, seed, source_clips, train_videos, test_videos)
    workers = (os.cpu_count() or 1) if workers is None else workers
    _check(made, workers)
    out_dir = pathlib.Path(out_dir)
    try:
        _claim(out_dir, made)
        missing = [
            (subset, index)
            for subset in made.subsets()
            for index in range(subset.count)
            if not (out_dir / subset.path(index)).exists()
        ]
        _make_all(out_dir, made, missing, workers)
    except OSError as error:
        where = error.filename or out_dir
        raise UserError(f"{where}: cannot be written ({error.strerror})") from error
    for side in ("source", "target"):
        path = out_dir / side / "annotations.json"
        if missing or not path.exists():
            activitynet.save(path, made.annotated(side), version=f"synthetic {world} {seed}")


def _check(made: World, workers: int) -> None:
    if made.world not in WORLDS:
        raise UserError(f"world: {made.world!r} is not one of {', '.join(WORLDS)}")
    smallest = {"seed": 0, "source_clips": 10, "train_videos": 1, "test_videos": 1, "workers": 1}
    for name, value in {**made._asdict(), "workers": workers}.items():
        if name in smallest and (not isinstance(value, int) or value < smallest[name]):
            raise UserError(f"{name}: {value!r} is not a whole number from {smallest[name]} up")


def _claim(out_dir: pathlib.Path, made: World) -> None:
    """Notes in the folder whose it is, or finds out that it is another's."""
    for side in ("source", "target"):
        (out_dir / side / "videos").mkdir(parents=True, exist_ok=True)
    note, wanted = out_dir / "world.json", made._asdict()
    if not note.exists():
        write_json(note, wanted)
        return
    held = read_own_json(note)
    if held != wanted:
        held = held if isinstance(held, dict) else {}
        other = ", ".join(key for key in wanted if held.get(key) != wanted[key])
        raise UserError(f"{out_dir} holds a world of another {other}: choose another folder")


def _make_all(out_dir, made, missing, workers) -> None:
    make = functools.partial(_make, out_dir, made)
    bar = functools.partial(
        tqdm.tqdm, total=len(missing), desc="synthetic world", unit="video", disable=None
    )
    if workers == 1 or not missing:
        for subset, index in bar(missing):
            make(subset, index)
        return
    # Spawned, because the caller may hold threads (JAX does), which do not survive a fork.
    with concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=end_with_parent
    ) as pool:
        try:
            for _ in bar(pool.map(make, *zip(*missing, strict=True), chunksize=16)):
                pass
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError(
                f"{out_dir}: a worker process ended early (killed, or out of memory): run again to "
                "go on, with workers=1 if it happens again"
            ) from error


def _make(out_dir: pathlib.Path, made: World, subset: Subset, index: int) -> None:
    with aside(out_dir / subset.path(index), lasting=False) as unfinished:
        unfinished.write_bytes(_encode(made.render(subset, index)))


def _encode(frames: np.ndarray) -> bytes:
    """H.264 in MP4 of (F, SIZE, SIZE, 3) uint8 RGB frames at `FPS`."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options=_ENCODING)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # so that the bytes do not depend on the number of cores
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
