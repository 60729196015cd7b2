"""A row of a run as StableHLO programs, which run where neither this package nor Flax is.

| file | |
|---|---|
| manifest.json | what goes in and comes out, the classes, how frames are sampled, digests |
| encoder.bin, encoder.npz | frames (L, T, H, W, 3) uint8 -> features (L, C) of each encoder |
| head.bin, head.npz | these -> logits of the head and class probabilities |
| postprocessing.bin | these and the duration -> detections |
| loader.py | `load(folder)`: all of it as one function |
"""

import dataclasses
import hashlib
import io
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import export

from lofi_jax.config import full_fidelity, suppression
from lofi_jax.config.rows import Row
from lofi_jax.config.settings import VIDEO
from lofi_jax.detection import on_device
from lofi_jax.errors import UserError
from lofi_jax.files import read_text, write_bytes, write_json, write_text
from lofi_jax.jobs import labels
from lofi_jax.jobs.exports import stablehlo_loader
from lofi_jax.models import windows
from lofi_jax.models.heads import proposal_map
from lofi_jax.models.protocols import apply
from lofi_jax.run import checkpoints, features, sources
from lofi_jax.run.networks import make_encoder_of, make_head, snippet_shape
from lofi_jax.run.start import Run
from lofi_jax.training import folders
from lofi_jax.training.checkpoints import load_state
from lofi_jax.training.networks import apply_head

PLATFORMS = ("cpu", "cuda", "tpu")
Flat = dict[str, np.ndarray]


def run(run: Run, row: Row, output: pathlib.Path, features_only: bool) -> str:
    """Writes a row's programs.

    Args:
        features_only: the encoder alone.

    Returns:
        A message about what was written.

    Raises:
        UserError: a head whose proposals are no fixed number of anchors, labels by segment, voting,
            or a folder that cannot be written.
    """
    full = full_fidelity(run.config)
    frames = jax.ShapeDtypeStruct((full.snippets, *snippet_shape(run.config)), np.uint8)
    encode, encoders = _encoder(run, row, features_only)
    encoded = jax.eval_shape(encode, encoders, frames)
    programs, weights = {"encoder": _exported(encode, _shapes(encoders), frames)}, {}
    weights["encoder"] = encoders
    classes: tuple[str, ...] = ()
    if not features_only:
        if labels.trained_level(run) != VIDEO:
            raise UserError(
                "--layout=stablehlo: labels by segment cannot be exported: --features_only exports"
                " the encoder"
            )
        classes = tuple(labels.classes(run))
        head, heads = _head(run, row, len(classes))
        outputs = jax.eval_shape(head, heads, encoded)
        programs["head"] = _exported(head, _shapes(heads), encoded)
        weights["head"] = heads
        duration = jax.ShapeDtypeStruct((), np.float32)
        with jax.enable_x64(True):
            post = _postprocessing(run, row, len(classes))
            programs["postprocessing"] = _exported(post, outputs, duration)
    files = {f"{name}.bin": program for name, program in programs.items()}
    files |= {f"{name}.npz": _npz(arrays) for name, arrays in weights.items()}
    for name, content in files.items():
        write_bytes(output / name, content)
    manifest = {
        "row": row.name,
        "jax": jax.__version__,
        "platforms": PLATFORMS,
        "programs": {name: f"{name}.bin" for name in programs},
        "weights": {name: f"{name}.npz" for name in weights},
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "frames": {"shape": frames.shape, "dtype": "uint8", "axes": "snippet, frame, y, x, RGB"},
        "sampling": dataclasses.asdict(sources.sampling_of(run.config)),
        "features": {name: x.shape for name, x in encoded.items()},
        "classes": classes,
    }
    write_json(output / "manifest.json", manifest, indent=1)
    write_text(output / "loader.py", read_text(stablehlo_loader.__file__))
    size = sum(path.stat().st_size for path in output.iterdir()) / 1e6
    return f"{row.name}: {', '.join(programs)}, {size:.1f} MB -> {output}"


def _exported(function: Callable, *arguments: Any) -> bytes:
    program = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    try:
        return bytes(program.serialize())
    except ImportError as error:
        raise UserError(
            "--layout=stablehlo: JAX writes programs with flatbuffers: pip install"
            " 'lofi_jax[export]'"
        ) from error


def _npz(arrays: Mapping[str, Any]) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def _shapes(arrays: Flat) -> dict[str, jax.ShapeDtypeStruct]:
    return {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in arrays.items()}


def _flat(tree: Any) -> Flat:
    return {name: np.asarray(x) for name, x in flatten_dict(tree, sep="/").items()}


def _encoder(run: Run, row: Row, features_only: bool) -> tuple[Callable, Flat]:
    """A function (weights, frames of one video) -> {encoder: features (L, C)}, and the weights."""
    parts = set(row.encoder.split("+"))
    if not features_only:
        parts |= set(labels.encoder_of(run).split("+"))
    chunk = run.config.extract.chunk
    variables = {part: checkpoints.encoder_variables(run, part) for part in sorted(parts)}

    def encode(weights, frames):
        found = {}
        for part, own in unflatten_dict(weights, sep="/").items():
            network = make_encoder_of(run.config, part)
            found[part] = windows.encode(network, own, frames[None], chunk)[0]
        return found

    return encode, _flat(variables)


def _head(run: Run, row: Row, classes: int) -> tuple[Callable, Flat]:
    """A function (weights, features) -> the head's logits and "probabilities", and the weights."""
    config, labels_by = run.config, labels.encoder_of(run)
    module, classify = make_head(config, row.head, classes), labels.model(run, VIDEO, classes)
    weights = {
        "head": load_state(checkpoints.of_head(run, row))["params"]["head"],
        "classifier": load_state(folders.checkpoints(labels.folder(run, VIDEO)))["params"][
            "classifier"
        ],
        "seen": dict(
            zip(("mean", "std"), features.store(run, row.encoder).statistics, strict=True)
        ),
        "whole": dict(zip(("mean", "std"), features.store(run, labels_by).statistics, strict=True)),
    }

    def joined(encoded, encoder, by, standardise):
        whole = jax.numpy.concatenate([encoded[part] for part in encoder.split("+")], axis=1)
        return (whole - by["mean"]) / by["std"] if standardise else whole

    def head(weights, encoded):
        tree = unflatten_dict(weights, sep="/")
        seen = joined(encoded, row.encoder, tree["seen"], config.head_training.standardise)
        whole = joined(encoded, labels_by, tree["whole"], labels.STANDARDISES)
        outputs = apply_head(module, config.dtype, tree["head"], seen[None])
        logits = apply(classify, tree["classifier"], whole[None])
        probabilities = jax.nn.softmax(logits)[0]
        return {name: x[0] for name, x in outputs.items()} | {"probabilities": probabilities}

    return head, _flat(weights)


def _postprocessing(run: Run, row: Row, classes: int) -> Callable:
    """A function (what the head's program gives, seconds) -> detections."""
    config, how = run.config, suppression(run.config, row.head)
    head: Any = make_head(config, row.head, classes)
    snippets = full_fidelity(config).snippets
    fixed = head.fixed_proposals(snippets) if hasattr(head, "fixed_proposals") else None
    if fixed is None or how.vote:
        what = "config.detect.vote" if how.vote else f"the proposals of the head {row.head}"
        raise UserError(
            f"--layout=stablehlo: {what} cannot be exported: --features_only exports the encoder"
        )
    anchors, rules = fixed
    top_classes, top_k = config.classifier.top_classes, config.detect.top_k
    detect = on_device.postprocessing(anchors, rules.select, rules.weigh, how, top_classes, top_k)

    def post(outputs, duration):
        logits = {name: outputs[name] for name in proposal_map.OUTPUTS}
        return detect(logits, outputs["probabilities"], duration)

    return post
