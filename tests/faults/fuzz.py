"""Damages small valid files at random and reads each with every reader of its kind.

    python tests/faults/fuzz.py COUNT [SEED]

Runs in a process of its own, with a bound on memory and on the time of one file, and prints
{reader: {"tried", "held", "failed": [messages]}} as JSON. A file is held when it is read, or
refused by one line that names it.
"""

import collections
import csv
import faulthandler
import io
import json
import os
import pathlib
import pickle
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator

import av
import h5py
import numpy as np
from safetensors.numpy import save

from lofi_jax.config import to_json, validate
from lofi_jax.config.settings import Config
from lofi_jax.config.typed import from_plain
from lofi_jax.data.annotations import activitynet, kinetics, thumos
from lofi_jax.data.features import external
from lofi_jax.data.features.checksums import sealed
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.data.video import video_file
from lofi_jax.data.video.packets import VideoError
from lofi_jax.errors import LONGEST, UserError
from lofi_jax.files import read_own_json
from lofi_jax.results import by_ending, class_scores, predictions, submissions
from lofi_jax.weights import checkpoint_files

_SECONDS, _BYTES = 20, 12 << 30

# What stands in a text file where a value was.
_TOKENS = (
    *("nan", "NaN", "-Infinity", "1e999", "-1", "true", "null", "1" + "0" * 400, "1" * 5000),
    *('"\\ud800"', '"\\u0000"', '"../../x"', '"/x"', '"' + "a" * 5000 + '"', "[" * 3000, "{}"),
    *("[]", '""', "\n", '"\x1b[31m"', "\ufeff", "\u202e", "0x10", "1_000", "٣", ",,,", "\0"),
)


def _damaged(content: bytes, rng: random.Random, text: bool) -> bytes:
    """The content with one to three faults."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(content) + 1)
        length = rng.choice((1, 2, 4, 16, 200))
        kind = rng.choice(("cut", "flip", "lose", "repeat", "token", "token", "zero"))
        if kind == "cut":
            content = content[:at]
        elif kind == "flip" and content:
            at %= len(content)
            content = (
                content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
            )
        elif kind == "lose":
            content = content[:at] + content[at + length :]
        elif kind == "repeat":
            content = content[:at] + content[at : at + length] * 2 + content[at + length :]
        elif kind == "zero":
            content = content[:at] + bytes(length) + content[at + length :]
        elif text:
            content = _replaced(content, rng)
        else:
            content = content[:at] + rng.randbytes(length) + content[at + length :]
    if text and rng.random() < 0.05:
        content = content.decode(errors="replace").encode(rng.choice(("utf-16", "utf-8-sig")))
    return content


def _replaced(content: bytes, rng: random.Random) -> bytes:
    """A text with a number or a quoted word replaced by a token."""
    edges = [i for i, byte in enumerate(content) if byte in b'",:[]{} \n']
    if len(edges) < 2:
        return content
    i = rng.randrange(len(edges) - 1)
    token = rng.choice(_TOKENS).encode()
    return content[: edges[i] + 1] + token + content[edges[i + 1] :]


def _array(save: Callable) -> bytes:
    file = io.BytesIO()
    save(file, np.arange(12, dtype=np.float32).reshape(4, 3))
    return file.getvalue()


def _h5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as arrays:
        arrays["c3d"] = np.ones((4, 3), np.float32)
    return file.getvalue()


def _zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", _array(np.save))
    return file.getvalue()


def _video(ending: str, codec: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a{ending}"
        with av.open(path, "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
            for i in range(12):
                frame = av.VideoFrame.from_ndarray(
                    np.full((32, 48, 3), 20 * i, np.uint8), format="rgb24"
                )
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return pathlib.Path(path).read_bytes()


def _rows(*lines: tuple) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()


_FOUND = [
    {"label": "run", "score": 0.5, "segment": [1.0, 2.5]},
    {"label": "a", "score": 1, "segment": [0, 3]},
]
_ENTRY = {
    "subset": "training",
    "duration": 9.5,
    "annotations": [{"segment": [1, 2], "label": "run"}],
}
_COLUMNS = {"video-id": ["v"], "t-start": np.zeros(1), "t-end": np.ones(1)} | {
    "label": np.zeros(1, int),
    "score": np.ones(1),
}


def _sample(path: pathlib.Path) -> None:
    video_file.sample(path, 4, 2, 0, 16)


def _external(path: pathlib.Path) -> None:
    found = external.read([str(path.parent)], path.stem, 3)
    assert found.dtype == np.float32 and np.isfinite(found).all()


def _stored(path: pathlib.Path) -> None:
    found = FeatureStore(path.parent).read(path.stem)
    assert found.ndim == 2 and np.isfinite(found).all()


def _statistics(path: pathlib.Path) -> None:
    store = FeatureStore(path.parent)
    store.check({"a": 1})
    if store.is_finished():
        assert np.isfinite(store.standardise(np.ones((2, 3), np.float32))).all()


def _submission(path: pathlib.Path) -> None:
    assert all(isinstance(finding, str) for finding in submissions.findings(path))


def _described() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(pathlib.Path(folder))
        store.begin("a", {"a": 1})
        store.write("v", np.arange(6.0).reshape(2, 3))
        store.finish(["v"])
        return (store.folder / "features.json").read_bytes()


def _json(value) -> bytes:
    return json.dumps(value).encode()


# Name -> the valid file's name and content, whether it is text, and its reader.
READERS: dict[str, tuple[str, bytes, bool, Callable[[pathlib.Path], object]]] = {
    "annotations": (
        "a.json",
        _json({"version": "1", "database": {"v": _ENTRY, "w": _ENTRY}}),
        True,
        activitynet.load,
    ),
    "predictions": ("p.json", _json({"results": {"v": _FOUND}}), True, predictions.load),
    "detections": ("p.json", _json({"results": {"v": _FOUND}}), True, by_ending.load),
    "validate": (
        "p.json",
        _json({"version": "1", "results": {"v": _FOUND}, "external_data": {}}),
        True,
        _submission,
    ),
    "class scores": (
        "c.json",
        _json({"class": ["a", "b"], "results": {"v": [0.5, 0.25]}}),
        True,
        lambda path: class_scores.load(path, ["v"], ("a", "b")),
    ),
    "csv": (
        "p.csv",
        _rows(by_ending.csv_files.COLUMNS, ("v", 1, 2.5, "run", 0.5)),
        True,
        by_ending.load,
    ),
    "pkl": (
        "p.pkl",
        pickle.dumps(_COLUMNS),
        False,
        lambda path: by_ending.load(path, ["run"]),
    ),
    "vtt": (
        "p.vtt",
        b"WEBVTT\n\n00:00:01.000 --> 00:01:03.500\nlong jump (0.875)\n",
        True,
        by_ending.load,
    ),
    "srt": (
        "p.srt",
        b"1\n00:00:01,000 --> 00:01:03,500\nlong jump (0.875)\n",
        True,
        by_ending.load,
    ),
    "kinetics": (
        "train.csv",
        _rows(
            ("label", "youtube_id", "time_start", "time_end", "split"), ("a", "x", 1, 9, "train")
        ),
        True,
        kinetics.load,
    ),
    "thumos": (
        "Diving_val.txt",
        b"video_1 0.5 2.5\nvideo_2 1 2\n",
        True,
        lambda p: thumos.load(p.parent),
    ),
    "config": (
        "config.json",
        to_json(Config(dataset="synthetic")).encode(),
        True,
        lambda path: validate(from_plain(read_own_json(path))),
    ),
    "own json": ("seconds.json", _json({"head": 1.5}), True, read_own_json),
    "statistics": ("features.json", _described(), True, _statistics),
    "stored features": ("v.npy", sealed(_array(np.save)), False, _stored),
    "npy": ("v.npy", _array(np.save), False, _external),
    "npz": ("v.npz", _array(np.savez), False, _external),
    "zipped npz": ("v.npz", _zipped(), False, _external),
    "h5": ("v.h5", _h5(), False, _external),
    "feature csv": ("v.csv", b"a,b,c\n1,2,3\n4,5,6.5e3\n", True, _external),
    "safetensors": (
        "w.safetensors",
        save({"a": np.ones((2, 3), np.float32)}),
        False,
        checkpoint_files.read,
    ),
    "mp4": ("v.mp4", _video(".mp4", "libx264"), False, _sample),
    "mkv": ("v.mkv", _video(".mkv", "libx264"), False, _sample),
    "avi": ("v.avi", _video(".avi", "mpeg4"), False, _sample),
    "webm": ("v.webm", _video(".webm", "libvpx-vp9"), False, _sample),
}
_SLOW = ("mp4", "mkv", "avi", "webm")


def main(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yields a reader's name for each file that it was given, and what was wrong, if anything."""
    for reader, (name, content, text, read) in READERS.items():
        rng = random.Random(f"{reader} {seed}")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, name)
            path.write_bytes(content)
            read(path)  # it is valid
            for _ in range(count // 4 if reader in _SLOW else count):
                path.unlink()
                path.write_bytes(_damaged(content, rng, text))
                yield reader, _tried(read, path)


def _tried(read: Callable[[pathlib.Path], object], path: pathlib.Path) -> str:
    faulthandler.dump_traceback_later(_SECONDS, exit=True)
    begun = time.monotonic()
    try:
        read(path)
    except (UserError, VideoError) as error:
        if len(str(error)) > LONGEST or not str(error).isprintable():
            return f"no one line: {error!s:.80}"
    except BaseException as error:
        return f"{type(error).__name__}: {error!s:.200} of {path.read_bytes()!r:.200}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    return "" if time.monotonic() - begun < _SECONDS / 4 else "slow"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    av.logging.set_level(av.logging.PANIC)
    told: dict[str, dict] = collections.defaultdict(lambda: {"tried": 0, "held": 0, "failed": []})
    for reader, wrong in main(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 0):
        told[reader]["tried"] += 1
        told[reader]["held"] += not wrong
        if wrong and len(told[reader]["failed"]) < 4:
            told[reader]["failed"].append(wrong)
    print(json.dumps(told, indent=1))
