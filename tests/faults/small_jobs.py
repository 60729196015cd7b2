"""Every command that writes, with inputs of its own: work of a moment each."""

import hashlib
import json
import pathlib

import commands
import jax
import numpy as np
import pytest
from safetensors.numpy import save_file
from small_videos import annotated, save_annotations, write_video

from lofi_jax.training.checkpoints import load_state

_FOUND = [
    {"label": "run", "score": 0.9, "segment": [0.5, 1.5]},
    {"label": "jump", "score": 0.4, "segment": [0.2, 1.9]},
]


def make_inputs(folder: pathlib.Path) -> pathlib.Path:
    """Three videos, annotations and two prediction files; the folder of them."""
    for name in ("a", "b", "c"):
        write_video(folder / "videos" / f"{name}.mp4", 20)
    segments = (0.5, 1.5, "run"), (1.0, 2.0, "jump")
    database = {name: annotated("val", *segments, duration=2.0) for name in ("a", "b", "c")}
    save_annotations(folder / "truth.json", database)
    for name in ("one", "other"):
        found = {"version": "1", "results": {"a": _FOUND, "b": _FOUND[:1]}}
        (folder / f"{name}.json").write_text(json.dumps(found))
    return folder


def make_head(path: pathlib.Path) -> None:
    """A thin head in G-TAD's authors' layout; skips without PyTorch."""
    heads = pytest.importorskip("torch_heads")
    head = heads.GTAD(8, 16, (24, 12, 12, 12), (32, 4), 4, 2, k=3, durations=9, kernel=1)
    save_file({key: value.numpy() for key, value in head.state_dict().items()}, path)


def jobs(inputs: pathlib.Path, workdir: pathlib.Path, out: pathlib.Path) -> dict[str, list[str]]:
    """The arguments by a name of the job.

    Args:
        workdir: of a finished run.
        out: all that they write lies below it.
    """
    annotations, of = inputs / "truth.json", inputs / "videos"
    videos, truth = f"--video_dir={of}", f"--ground_truth={annotations}"
    one, both = inputs / "one.json", f"{inputs / 'one.json'},{inputs / 'other.json'}"
    export = ["export", f"--workdir={workdir}", f"--output={out}"]
    judged = [truth, "--subset=val"]
    return {
        "prepare": [
            *(
                "prepare",
                "--dataset=video_folder",
                videos,
                f"--annotations={inputs / 'truth.json'}",
            ),
            *("--snippets=2", "--frames_per_snippet=2", "--short_side=16", f"--data_dir={out}"),
        ],
        "predict": [
            *("predict", f"--workdir={workdir}", f"--videos={inputs / 'videos'}"),
            *(
                f"--output={out / 'found.json'}",
                f"--timeline_dir={out / 't'}",
                f"--view={out / 'v'}",
            ),
        ],
        "features": [*export, "--layout=opentad", "--encoder=lofi_temporal_gtad"],
        "programs": [*export, "--layout=stablehlo"],
        "labels": [*export, "--layout=cvat", f"--predictions={one}", videos],
        "convert": ["convert", f"--source={inputs / 'head.safetensors'}", "--head=gtad"]
        + [f"--output={out / 'head'}"],
        "view": ["view", truth, f"--predictions={both}", videos, f"--output={out}"],
        "diagnose": ["diagnose", *judged, f"--predictions={one}", videos, f"--output_dir={out}"],
        "compare": ["compare", *judged, f"--predictions={both}", f"--output={out / 'c.json'}"]
        + ["--resamples=20"],
        "evaluate": ["evaluate", *judged, f"--predictions={one}", f"--output={out / 'e.json'}"],
        "fuse": ["fuse", f"--predictions={both}", f"--output={out / 'f.json'}"],
        "study": ["study", f"--config={commands.TINY}", f"--workdir={out}", "--seeds=0"]
        + [f"--config.log.cache_dir={workdir.parent / 'cache'}"],
    }


def outcome(folder: pathlib.Path) -> dict[str, str]:
    """A digest of all that a job has written: of checkpoints their arrays, of a run's times
    nothing.
    """
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and "seed_0" not in path.parts
    }
    if (folder / "head").is_dir():
        arrays = jax.tree.leaves(load_state(folder / "head"))
        files = {"head": b"".join(np.asarray(array).tobytes() for array in arrays)}
    if (folder / "study.json").exists():
        study = json.loads((folder / "study.json").read_text())
        files["study.json"] = json.dumps([one["rows"] for one in study.values()]).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
