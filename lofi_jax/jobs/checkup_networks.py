"""The checks that need the networks themselves: weights, the first loss, and the device's speed."""

import functools
import os
import time
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lofi_jax.checkup import first_loss, speed, weights
from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.config import Config, full_fidelity, rows_of
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.errors import UserError
from lofi_jax.models.protocols import by_path
from lofi_jax.run import checkpoints, networks

_VIDEOS = 4  # of a batch
_WIDTH = 64  # channels of the noise: what a fresh head's loss is hardly depends on them
_BACKWARD = 3  # a step's work over the forward pass's
# The loss is computed once: it would take longer to compile well.
_QUICKLY: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}


def check(config: Config, train: Sequence[Video], decoded: float, frames: int) -> Iterator[Finding]:
    """Looks at the networks that the config names, and at what they read.

    Args:
        train: annotated videos; none: their loss is not looked at.
        decoded: frames a second and core; 0: not known.
        frames: that joint training reads.
    """
    variables = None
    for path in filter(None, (config.initial_checkpoint, config.encoder_checkpoint)):
        try:
            loaded = checkpoints.load_own_encoder(config, path)
        except UserError as error:
            yield Finding(Severity.STOP, str(error), "name a checkpoint of config.encoder")
            continue
        if variables is None:
            variables = networks.initial_encoder(config, jax.random.key(config.seed))
        fresh, there = (_arrays(tree) for tree in (variables, loaded))
        yield from weights.check(str(path), there, fresh)
    known = [video for video in train if video.duration and video.labels][:_VIDEOS]
    for name in dict.fromkeys(row.head for row in rows_of(config)) if known else ():
        usual = first_loss.USUAL.get(name)
        options = config.head.options if name == config.head.name else config.other_heads.get(name)
        if (options or {}).get("rules"):  # other weights of the loss's terms
            usual = None
        yield from first_loss.check(name, _loss(config, name, known), usual)
    if decoded and any(row.start == "lofi" for row in rows_of(config)):
        consumed = _frames_per_second(config) / _BACKWARD
        cores = os.cpu_count() or 1
        yield from speed.check(decoded, cores, consumed, config.data.streaming, frames)


def _arrays(variables) -> dict[str, np.ndarray]:
    return {name: np.asarray(x) for name, x in by_path(variables).items()}


def _loss(config: Config, name: str, videos: Sequence[Video]) -> float:
    """A fresh head's loss on noise, with the videos' instances as targets."""
    classes = sorted({label for video in videos for label in video.labels})
    head = networks.make_head(config, name, len(classes))
    most = max(len(video.labels) for video in videos)
    segments = np.zeros((len(videos), most, 2), np.float32)
    labels, valid = np.zeros(segments.shape[:2], int), np.zeros(segments.shape[:2], bool)
    for i, video in enumerate(videos):
        count = len(video.labels)
        segments[i, :count] = np.clip(video.segments / video.known_duration, 0, 1)
        labels[i, :count] = [classes.index(label) for label in video.labels]
        valid[i, :count] = True
    batch = {"segments": segments, "labels": labels, "valid": valid}
    shape = (len(videos), full_fidelity(config).snippets, _WIDTH)
    features = np.random.default_rng(config.seed).normal(size=shape).astype(np.float32)

    def loss(key):
        outputs, _ = head.init_with_output(key, jnp.asarray(features))
        return head.loss(outputs, batch, key)[0]

    compiled = jax.jit(loss).lower(jax.random.key(0)).compile(compiler_options=_QUICKLY)
    return float(compiled(jax.random.key(0)))


def _frames_per_second(config: Config) -> float:
    """The encoder's forward pass on all local devices."""
    encoder, shape = networks.make_encoder(config), networks.snippet_shape(config)
    init = functools.partial(encoder.init, jax.random.key(0))
    frames = jnp.zeros((1, *shape), jnp.uint8)
    made = jax.jit(init).lower(frames).compile(compiler_options=_QUICKLY)(frames)
    apply = jax.jit(encoder.apply)
    apply(made, frames).block_until_ready()
    spent, done = 0.0, 0
    while spent < 0.3:
        begun = time.monotonic()
        apply(made, frames).block_until_ready()
        spent, done = spent + time.monotonic() - begun, done + 1
    accelerators = 1 if jax.default_backend() == "cpu" else jax.local_device_count()
    return accelerators * done * shape[0] / spent
