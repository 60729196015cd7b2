"""Untrimmed videos with exact ground truth, spliced from the real clips.

    python tests/spliced.py OUT_DIR

writes OUT_DIR/videos/* and OUT_DIR/annotations.json. A video is two or three pieces of one or two
of the action clips, with pieces of the filler before, between and after them. Training and testing
take their pieces from different parts of the clips.
"""

import argparse
import fractions
import itertools
import pathlib

import av
import numpy as np

from lofi_jax.data.annotations import activitynet

CLIPS = pathlib.Path(__file__).parents[1].parent / "shared" / "data" / "videos"
ACTIONS = {
    "arm wrestling": "arm_wrestling.mp4",
    "cleaning a pool": "test_340x256.mp4",
    "flipping a pancake": "flipping_a_pancake.mkv",
    "putting on make-up": "test_mpeg4.avi",
}
FILLER = "bikes.mp4"
# The part of each clip that a subset may use.
PARTS = {"training": (0.0, 0.6), "testing": (0.65, 1.0)}
FORMATS = (".mp4", ".mkv", ".mov")


def make(
    folder: pathlib.Path,
    clips: pathlib.Path = CLIPS,
    training: int = 40,
    testing: int = 16,
    seconds: tuple[float, float] = (2.0, 5.0),
    size: tuple[int, int] = (120, 160),
    fps: int = 12,
    seed: int = 0,
) -> None:
    """Makes the dataset, the same one for the same arguments.

    Args:
        folder: gets videos/ and annotations.json.
        clips: the folder of the real clips.
        training, testing: how many videos of each subset.
        seconds: the shortest and the longest piece.
        size: height and width in pixels.
        fps: frames a second.
        seed: of everything random.
    """
    (folder / "videos").mkdir(parents=True)
    real = {name: _read(clips / name, size, fps) for name in (*ACTIONS.values(), FILLER)}
    videos = []
    for subset, count in (("training", training), ("testing", testing)):
        for i in range(count):
            rng = np.random.default_rng([seed, subset == "testing", i])
            pieces = _script(rng, i)
            lengths = [round(fps * rng.uniform(*seconds)) for _ in pieces]
            ends = np.cumsum(lengths)
            frames = [
                _cut(real[ACTIONS.get(label, FILLER)], PARTS[subset], length, rng)
                for label, length in zip(pieces, lengths, strict=True)
            ]
            path = folder / "videos" / f"{subset}_{i:03d}{FORMATS[i % len(FORMATS)]}"
            _write(path, np.concatenate(frames), fps)
            spans = np.stack([ends - lengths, ends], axis=1) / fps
            acted = [k for k, label in enumerate(pieces) if label]
            labels = tuple(pieces[k] for k in acted)
            videos.append(
                activitynet.Video(path.stem, subset, spans[-1, 1].item(), spans[acted], labels)
            )
    activitynet.save(folder / "annotations.json", videos, "spliced")


def _script(rng: np.random.Generator, index: int) -> list[str]:
    """The labels of a video's pieces in order, "" for filler."""
    first = list(ACTIONS)[index % len(ACTIONS)]
    second = first if rng.random() < 0.5 else str(rng.choice(list(ACTIONS)))
    actions = [first, second, first][: rng.integers(2, 4)]
    return ["", *itertools.chain.from_iterable((action, "") for action in actions)]


def _read(path: pathlib.Path, size: tuple[int, int], fps: int) -> np.ndarray:
    """A clip at the wanted size and rate, (F, H, W, 3) uint8 RGB."""
    height, width = size
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
        frames = [
            frame.to_ndarray(format="rgb24", width=width, height=height)
            for frame in container.decode(video=0)
        ]
    wanted = np.arange(0, len(frames) * fps / rate) * rate / fps
    return np.stack([frames[int(i)] for i in wanted if int(i) < len(frames)])


def _cut(clip: np.ndarray, part: tuple[float, float], length: int, rng) -> np.ndarray:
    """A random piece of a part of a clip, played to and fro where the part is too short, at times
    mirrored.
    """
    low, high = (round(share * len(clip)) for share in part)
    there_and_back = np.concatenate([np.arange(low, high), np.arange(high - 1, low - 1, -1)])
    first = rng.integers(len(there_and_back))
    piece = clip[np.resize(np.roll(there_and_back, -first), length)]
    return piece[:, :, ::-1] if rng.random() < 0.5 else piece


def _write(path: pathlib.Path, frames: np.ndarray, fps: int) -> None:
    # Matroska's marks are random unless told otherwise.
    with av.open(str(path), "w", container_options={"fflags": "bitexact"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "superfast"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # the same bytes however many cores there are
        stream.codec_context.time_base = fractions.Fraction(1, fps)
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", type=pathlib.Path)
    parser.add_argument("--clips", type=pathlib.Path, default=CLIPS, help="folder of the clips")
    parser.add_argument("--training", type=int, default=40, help="videos to train on")
    parser.add_argument("--testing", type=int, default=16, help="videos to test on")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make(given.out_dir, given.clips, given.training, given.testing, seed=given.seed)
