"""The one place where defaults live, and the checks a config passes before any work starts.

A config file under configs/ calls `defaults()`, changes what it needs and returns the result; its keys are locked, so
a misspelt one is an error.
"""

import json

from ml_collections import ConfigDict

from lofi_jax import fidelity
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, HEADS

STAGES = ("data", "pretrain", "joint", "extract", "head", "detect", "evaluate")
STARTS = ("acp", "lofi")
DATASETS = ("synthetic", "video_folder")

# What may change between two runs in one workdir without changing any result.
FREE_KEYS = (
    "stages",
    "encoder_checkpoint",
    "head_checkpoint",
    "log",
    "data.workers",
    "mesh",
    "timelines",
)


def optimizer(**changes) -> ConfigDict:
    """An optimizer's settings.

    Keys: name ("sgd", "adam" or "adamw"); learning_rate; momentum (sgd); weight_decay; schedule ("constant",
    "cosine", or "step": x decay every decay_epochs); warmup_epochs, a linear rise from zero; clip_norm, the largest
    global gradient norm (0: no limit).
    """
    return ConfigDict(
        dict(
            name="adamw",
            learning_rate=1e-3,
            momentum=0.0,
            weight_decay=1e-4,
            schedule="cosine",
            decay=0.1,
            decay_epochs=5.0,
            warmup_epochs=0.0,
            clip_norm=0.0,
        )
        | changes
    )


def defaults() -> ConfigDict:
    """The paper's procedure at its own sizes (100 snippets of 8 frames of 224 x 224 pixels); see the comments."""
    c = ConfigDict()
    c.seed = 0
    c.dataset = "video_folder"
    # Stages to run, in order; finished ones are not repeated.
    c.stages = ",".join(STAGES)
    # Encoders to compare: each gets features, a fresh head and a row of the table.
    c.starts = "acp,lofi"
    # Orbax checkpoints that take the place of a trained encoder or head: the pretrained encoder when training, and
    # the ones that extract, detect and evaluate restore when only those run.
    c.encoder_checkpoint = ""
    c.head_checkpoint = ""
    # Test videos whose timelines are drawn.
    c.timelines = 8

    c.data = ConfigDict()
    c.data.data_dir = ""  # where prepared datasets go; empty: WORKDIR/data
    c.data.video_dir = ""
    c.data.annotations = ""
    c.data.train_subset = "training"
    c.data.test_subset = "testing"
    c.data.snippets = 100  # L of the full fidelity
    c.data.frames = 8  # T, frames a snippet
    c.data.stride = 8  # native frames between a snippet's frames; 0: spread evenly over the snippet
    c.data.height = 224
    c.data.width = 224
    c.data.short_side = 256  # pixels of a stored frame's short side
    c.data.quality = 95  # of the stored JPEGs
    c.data.crop_area = (0.7, 1.0)  # part of the picture that a random crop keeps in training
    c.data.flip = True
    c.data.workers = 0  # loader processes; 0: threads

    # The source dataset of trimmed clips for stage 1. Empty: the target's own foreground segments.
    c.source = ConfigDict()
    c.source.video_dir = ""
    c.source.annotations = ""
    c.source.train_subset = "training"
    c.source.snippets = 1

    # The embedded world (dataset = "synthetic").
    c.synthetic = ConfigDict()
    c.synthetic.world = "appearance"
    c.synthetic.source_clips = 4000
    c.synthetic.train_videos = 160
    c.synthetic.test_videos = 100

    # An encoder or a head is a name and the arguments of its class.
    c.encoder = named("tsm_resnet18")
    c.head = named("gtad")

    # Stage 1: action classification on trimmed clips, BatchNorm in training.
    c.pretrain = ConfigDict()
    c.pretrain.epochs = 50.0
    c.pretrain.batch_size = 64
    c.pretrain.optimizer = optimizer(name="sgd", learning_rate=0.02, momentum=0.9)

    # Stage 2: encoder and head end to end at low fidelity (paper, section 4.1).
    c.joint = ConfigDict()
    c.joint.fidelity = "long_cycle"
    c.joint.factors = ConfigDict(
        {
            "spatial": 2.0,
            "temporal": 4,
            "both_spatial": 2.0**0.5,
            "both_temporal": 2,
            "short_cycle": 16,
            "long_cycle": 1,
        }
    )
    c.joint.epochs = 15.0
    c.joint.batch_size = 16
    c.joint.chunk = 25  # snippets whose activations a device holds at once; 0: all
    c.joint.encoder_scale = 1.0  # the encoder's learning rate as a part of the head's
    c.joint.optimizer = optimizer(
        name="sgd", learning_rate=0.1, schedule="step", decay=0.5, decay_epochs=5.0
    )

    # Between the stages: full-fidelity features.
    c.extract = ConfigDict()
    c.extract.batch_size = 1
    c.extract.chunk = 25

    # Stage 3: a fresh head on the features (G-TAD's own settings).
    c.head_training = ConfigDict()
    c.head_training.epochs = 10.0
    c.head_training.batch_size = 16
    c.head_training.optimizer = optimizer(
        name="adam", learning_rate=4e-3, schedule="step", decay=0.1, decay_epochs=5.0
    )

    # The video-level classifier that labels proposals, trained once, on the pretrained encoder's features.
    c.classifier = ConfigDict()
    c.classifier.epochs = 30.0
    c.classifier.batch_size = 16
    c.classifier.hidden = 256
    c.classifier.top_classes = 2
    c.classifier.optimizer = optimizer(name="adamw", learning_rate=1e-3, weight_decay=1e-2)

    c.detect = ConfigDict()
    c.detect.use_boundaries = (
        True  # score = start x end x both map values, else the map values alone
    )
    c.detect.nms_sigma = 0.84
    c.detect.top_k = 100

    c.mesh = ConfigDict()
    c.mesh.data = -1  # devices over which videos are spread; -1: all that are left
    c.mesh.snippet = 1  # devices over which one video's snippets are spread
    c.mesh.cpu_devices = 2  # when JAX runs on the CPU, how many devices it shows

    c.log = ConfigDict()
    c.log.every = 10  # steps between lines and TensorBoard points
    c.log.checkpoint_seconds = 60.0  # longest time between two checkpoints
    c.log.cache_dir = ""  # compiled programs; empty: WORKDIR/cache
    return c.lock()


def named(name: str, **options) -> ConfigDict:
    """A class by name with the arguments it is made with."""
    return ConfigDict({"name": name, **options})


def validate(config: ConfigDict) -> None:
    """Checks all that can be checked before any work starts.

    Raises:
        UserError: naming the key and the fix.
    """
    _choice("dataset", config.dataset, DATASETS)
    for key, known in (("stages", STAGES), ("starts", STARTS)):
        for name in names(config[key]):
            _choice(key, name, known)
    _choice("encoder.name", config.encoder.name, tuple(ENCODERS))
    _choice("head.name", config.head.name, tuple(HEADS))
    _choice("joint.fidelity", config.joint.fidelity, fidelity.NAMES)
    for key in ("snippets", "frames", "height", "width", "short_side"):
        if config.data[key] < 1:
            raise UserError(f"config.data.{key} is {config.data[key]}: it must be at least 1")
    if config.dataset == "video_folder" and not (config.data.video_dir and config.data.annotations):
        raise UserError(
            "config.data.video_dir and config.data.annotations are empty: name a folder of videos"
            " and an annotation file in the ActivityNet form"
        )
    fidelity.schedule(config.joint.fidelity, full_fidelity(config), factors(config), 1)


def names(comma_separated: str) -> tuple[str, ...]:
    """The entries of a comma-separated value."""
    return tuple(name.strip() for name in comma_separated.split(",") if name.strip())


def full_fidelity(config: ConfigDict) -> fidelity.Fidelity:
    """The resolution of the data as prepared."""
    return fidelity.Fidelity(config.data.snippets, config.data.height, config.data.width)


def factors(config: ConfigDict) -> fidelity.Factors:
    """By how much the config's low fidelities divide the full one."""
    return fidelity.Factors(**config.joint.factors)


def _choice(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UserError(f"config.{key} is {value!r}: choose one of {', '.join(known)}")


def to_json(config: ConfigDict) -> str:
    """The config as JSON text, which `from_json` reads."""
    return config.to_json(indent=1)


def from_json(text: str) -> ConfigDict:
    """The config that `to_json` wrote."""
    return ConfigDict(json.loads(text)).lock()


def differing_keys(old: ConfigDict, new: ConfigDict) -> dict[str, tuple[object, object]]:
    """The dotted keys whose values differ and change results, with the old and the new value."""
    before, after = _flatten(json.loads(old.to_json())), _flatten(json.loads(new.to_json()))
    keys = [k for k in sorted(before.keys() | after.keys()) if before.get(k) != after.get(k)]
    free = tuple(f"{key}." for key in FREE_KEYS)
    return {k: (before.get(k), after.get(k)) for k in keys if not f"{k}.".startswith(free)}


def _flatten(nested: dict, prefix: str = "") -> dict[str, object]:
    flat = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
