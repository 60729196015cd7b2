"""Bad inputs of every command: files, flags and values."""

import json
import os
import pathlib
from collections.abc import Callable, Iterator

import commands
import numpy as np
from safetensors.numpy import save_file
from test_bad_files import make_bad

_GOOD = {"segment": [0.5, 1.5], "label": "run", "score": 0.5}


def _prediction(**change: object) -> str:
    return json.dumps({"version": "1", "results": {"a": [_GOOD | change]}})


def _annotation(**change: object) -> str:
    entry = {"subset": "val", "duration": 2.0, "annotations": [_GOOD]}
    return json.dumps({"database": {"a": entry | change}})


# What is no JSON, or none of any form that is known.
_NO_FORM: dict[str, Callable[[pathlib.Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.touch(),
    "blank": lambda path: path.write_text(" \n"),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "text": lambda path: path.write_text("words\nand more"),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\0\0\x80"),
    "utf16": lambda path: path.write_bytes(_prediction().encode("utf-16")),
    "deep": lambda path: path.write_text("[" * 100_000),
    "list": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null"),
    "cut": lambda path: path.write_text(_prediction()[:-9]),
    "other keys": lambda path: path.write_text('{"a\\nb": {"c": 1}}'),
    "no object": lambda path: path.write_text('{"results": 3, "database": [1]}'),
    "half a character": lambda path: path.write_text(_prediction(label="\ud800")),
}
_CHANGES = (
    *({"segment": value} for value in (None, [], [1], [1, 2, 3], "12", [True, 2], [2, 1], [1, 1])),
    *({"segment": value} for value in ([float("nan"), 1], [0, float("inf")], [0, 10**400])),
    *({"label": value} for value in (None, 3, "", [], "a\nb", "a" * 9000, "\u202e")),
)
_SCORES = [{"score": value} for value in (None, "1", True, -1, float("nan"), 10**400, [1])]
_VIDEOS = (
    *({"duration": value} for value in (None, "2", True, -1, 0, float("nan"), 10**400)),
    *({"subset": value} for value in (None, 3, [])),
    *({"annotations": value} for value in (None, 3, {}, [3], [[]])),
)


def _documents(folder: pathlib.Path, contents: dict[str, str]) -> list[pathlib.Path]:
    """Files of what is no JSON, and of the given contents."""
    folder.mkdir()
    for name, make in _NO_FORM.items():
        make(folder / f"{name}.json")
    for name, text in contents.items():
        (folder / f"{name}.json").write_text(text)
    return [folder / f"{name}.json" for name in (*_NO_FORM, *contents)]


def _weights(folder: pathlib.Path) -> list[pathlib.Path]:
    """Files that are named as checkpoints and are none, or of no network that is known."""
    folder.mkdir()
    for ending in (".safetensors", ".npz", ".pth", ".pt", ".tar", ".pkl", ".bin"):
        for name in ("missing", "empty", "folder", "pipe", "text", "bytes"):
            _NO_FORM[name](folder / f"{name}{ending}")
    save_file({"a": np.ones(3)}, folder / "other.safetensors")
    np.savez(folder / "other.npz", a=np.ones(3))
    np.savez(folder / "objects.npz", a=np.array([None]))
    (folder / "claims.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    header = b'{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'
    (folder / "large.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return [*folder.iterdir(), *(folder / f"missing{end}" for end in (".pth", ".npz"))]


_FLAGS = {
    "main": ("config", "workdir"),
    "doctor": ("config", "workdir"),
    "study": ("config", "workdir"),
    "plan": ("config",),
    "prepare": ("dataset", "video_dir", "annotations", "data_dir"),
    "predict": ("workdir", "videos"),
    "recognize": ("videos", "output"),
    "evaluate": ("ground_truth", "predictions", "subset"),
    "view": ("ground_truth", "predictions", "video_dir", "output"),
    "diagnose": ("ground_truth", "predictions", "subset", "output_dir"),
    "compare": ("ground_truth", "predictions", "subset"),
    "fuse": ("predictions", "output"),
    "validate": ("predictions",),
    "convert": ("source", "output"),
    "export": ("workdir", "layout", "output"),
}
_VALUES = {
    "plan": ("batch_sizes=0", "chunks=-1", "chunks=a", "fidelities=x", "dtypes=int8", "devices=2")
    + ("device=h1000", "memory_gib=a", "output=/nowhere/at/all.json"),
    "study": ("seeds=a", "seeds=", "seeds=-1", "folds=-1", "folds=2", "config.stages=data"),
    "main": ("rerun=x", "distributed=x", "config.seed.x=1", "config.seed=-1", "config.rows=x")
    + ("config.joint.epochs=nan", "config.stages=x", "config.mesh.data=99", "config.dataset=x"),
    "doctor": ("config.head.name=x", "config.encoder.name=a.b:C", "config.joint.batch_size=0"),
    "evaluate": ("tiou=2", "tiou=a", "tiou=0.5:0:1", "output=/proc/x.json"),
    "diagnose": ("tiou=0", "buckets=x", "videos=-1", "video_dir=/nowhere"),
    "compare": ("resamples=0", "seed=-1", "buckets=x", "output=/proc/x.json"),
    "fuse": ("weights=1", "weights=a,b", "nms=x", "nms_sigma=0", "vote=2", "top_k=0"),
    "view": ("port=x", "tiou=9", "video_dir=/nowhere"),
    "predict": ("min_score=-1", "top_k=0", "row=x", "classes=x", "output=a.txt", "videos=/nowhere"),
    "prepare": ("dataset=x", "workers=0", "snippets=0", "quality=101", "video_dir=/nowhere")
    + ("beam_runner=x", "snippets_per_second=nan", "data_dir=/proc/x"),
    "export": ("layout=x", "encoder=x", "row=x", "min_score=-1", "predictions=/nowhere"),
    "convert": ("encoder=x", "head=x", "output=/proc/x"),
    "validate": ("ground_truth=/nowhere", "subset=x"),
}
# Numbers that are none, or that nothing can hold.
_NUMBERS = {
    "plan": ("memory_gib=nan", "memory_gib=-1"),
    "study": ("seeds=0,1099511627776",),
    "main": ("distributed=h:65536,2,0",),
    "compare": (f"resamples={10**18}",),
    "fuse": ("vote=nan", "nms_sigma=nan", "nms_threshold=nan", "weights=1e300"),
    "predict": ("min_score=nan",),
    "prepare": (f"short_side={10**9}",),
    "export": ("min_score=nan",),
}


def bad_inputs(
    folder: pathlib.Path, good: pathlib.Path, workdir: pathlib.Path
) -> Iterator[list[str]]:
    """The arguments of each command with one bad input.

    Args:
        folder: gets the bad files.
        good: of `small_jobs.make_inputs`.
        workdir: of a finished run.
    """
    truth, one, out = good / "truth.json", good / "one.json", folder / "out"
    videos = f"--video_dir={good / 'videos'}"
    usual = {
        **{
            name: [f"--config={commands.TINY}", f"--workdir={folder / name}"]
            for name in ("main", "doctor", "study")
        },
        # Little to compile, for root can write to /nowhere.
        "plan": [f"--config={commands.TINY}", "--batch_sizes=1", "--chunks=0"]
        + ["--fidelities=temporal"],
        "prepare": ["--dataset=video_folder", videos, f"--annotations={truth}"]
        + [f"--data_dir={folder / 'data'}", "--snippets=2", "--short_side=16"],
        "predict": [f"--workdir={workdir}", f"--videos={good / 'videos' / 'a.mp4'}"]
        + [f"--output={out / 'p.json'}"],
        "recognize": [f"--videos={good / 'videos'}", f"--output={out / 'r.json'}"],
        "evaluate": [f"--ground_truth={truth}", f"--predictions={one}", "--subset=val"],
        "view": [f"--ground_truth={truth}", f"--predictions={one}", videos, f"--output={out}"],
        "diagnose": [f"--ground_truth={truth}", f"--predictions={one}", "--subset=val"]
        + [f"--output_dir={out}"],
        "compare": [f"--ground_truth={truth}", f"--predictions={one},{one}", "--subset=val"]
        + ["--resamples=5"],
        "fuse": [f"--predictions={one}", f"--output={out / 'fused.json'}"],
        "validate": [f"--predictions={one}"],
        "convert": [f"--source={good / 'none.pth'}", f"--output={folder / 'converted'}"],
        "export": [f"--workdir={workdir}", "--layout=cvat", f"--output={out}", videos]
        + [f"--predictions={one}"],
    }
    for name, given in usual.items():
        yield [name, *given, "--no_such_flag=1"]
        yield [name, *given, "word"]
        for flag in _FLAGS[name]:
            yield [name, *(one for one in given if not one.startswith(f"--{flag}="))]
        for value in (*_VALUES.get(name, ()), *_NUMBERS.get(name, ())):
            yield [name, *given, f"--{value}"]
    changes = [*_CHANGES, *_SCORES]
    found = {f"{i}": _prediction(**change) for i, change in enumerate(changes)}
    for path in _documents(folder / "predictions", found):
        for name in ("evaluate", "view", "diagnose", "fuse", "validate", "export"):
            yield [name, *usual[name], f"--predictions={path}"]
        yield ["compare", *usual["compare"], f"--predictions={one},{path}"]
    wrong = [{"annotations": [_GOOD | change]} for change in _CHANGES] + list(_VIDEOS)
    annotated = {f"{i}": _annotation(**change) for i, change in enumerate(wrong)}
    of_folder = ["--config.dataset=video_folder", f"--config.data.video_dir={good / 'videos'}"]
    of_folder += [f"--config.data.{side}_subset=val" for side in ("train", "test")]
    for path in _documents(folder / "annotations", annotated):
        for name in ("evaluate", "view", "diagnose", "compare", "validate"):
            subset = ["--subset=val"] if name == "validate" else []
            yield [name, *usual[name], *subset, f"--ground_truth={path}"]
        yield ["prepare", *usual["prepare"], f"--annotations={path}"]
        for name in ("main", "doctor"):
            given = [*of_folder, f"--config.data.annotations={path}", "--config.stages=data"]
            yield [name, *usual[name], *given]
    (folder / "videos").mkdir()
    for path in make_bad(folder / "videos", good / "videos" / "a.mp4"):
        yield ["predict", *usual["predict"], f"--videos={path}"]
        yield ["recognize", *usual["recognize"], f"--videos={path}"]
    for path in _weights(folder / "weights"):
        for network in ("--encoder=tsm_resnet18", "--head=gtad"):
            yield ["convert", *usual["convert"], f"--source={path}", network]
    texts = ("", "def get_config(:", "def get_config(): return 3", "def get_config(): 1 / 0")
    for i, text in enumerate((*texts, "import nothing_at_all", "raise SystemExit(0)", "\0")):
        (folder / f"config{i}.py").write_text(text)
        for name in ("main", "doctor", "study", "plan"):
            yield [name, *usual[name], f"--config={folder / f'config{i}.py'}"]
