"""The one place where defaults live, and the checks a config passes before any work starts.

A config file under configs/ calls `defaults()`, changes what it needs and returns the result; its keys are locked, so
a misspelt one is an error.
"""

import json
import re
import traceback
from collections.abc import Sequence

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from lofi_jax import fidelity, rows
from lofi_jax.data.synthetic import WORLDS
from lofi_jax.detection import thresholds
from lofi_jax.detection.nms import METHODS
from lofi_jax.detection.proposals import Suppression
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, HEADS, chunked
from lofi_jax.training.optimizer import OPTIMIZERS, SCHEDULES
from lofi_jax.training.sharding import PARAMETERS

STAGES = ("data", "pretrain", "joint", "extract", "head", "detect", "evaluate")
DATASETS = ("synthetic", "activitynet", "hacs", "thumos14", "video_folder")
DTYPES = ("float32", "bfloat16")

# A number that is left to the planner; on the command line it is written "auto".
AUTO = -1
_AUTO_KEYS = ("joint.batch_size", "joint.chunk")

# Section, key and least value.
_NUMBERS = (
    ("pretrain", "batch_size", 1),
    ("fine_tune", "batch_size", 1),
    ("joint", "batch_size", 1),
    ("joint", "chunk", 0),
    ("joint", "accumulate", 1),
    ("extract", "batch_size", 1),
    ("extract", "chunk", 0),
    ("head_training", "batch_size", 1),
    ("classifier", "batch_size", 1),
)

# What may change between two runs in one workdir without changing any result by more than rounding.
FREE_KEYS = (
    "stages",
    "head_checkpoint",
    "joint.chunk",
    "joint.keep",
    "joint.accumulate",
    "joint.memory_gib",
    "extract",
    "detect.batch_size",
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
    c.seed = 0  # of all that is random, the built-in world too
    c.dataset = "video_folder"  # or one of DATASETS
    # Stages to run, in order; finished ones are not repeated.
    c.stages = ",".join(STAGES)
    # Rows of the table, start[:fidelity][/head]: each encoder gets features and a fresh head on them.
    c.rows = "acp,lofi"
    # Orbax checkpoints: the weights that stage 1 begins from (ICP; empty: random), an encoder in place of stage 1's
    # (ACP), and a head in place of stage 3's.
    c.initial_checkpoint = ""
    c.encoder_checkpoint = ""
    c.head_checkpoint = ""
    # Test videos whose timelines are drawn.
    c.timelines = 8

    c.data = ConfigDict()
    c.data.data_dir = ""  # where prepared datasets go; empty: WORKDIR/data
    c.data.video_dir = ""  # folder of the videos, at any depth
    c.data.annotations = ""  # file in the ActivityNet form; others: lofi_jax/data/README.md
    c.data.train_subset = "training"
    c.data.test_subset = "testing"  # detected in and evaluated
    c.data.snippets = 100  # L of the full fidelity
    c.data.snippets_per_second = 0.0  # above 0: a video has as many snippets as it is long
    c.data.window = 0  # snippets of a sliding window, L in place of data.snippets; 0: whole videos
    c.data.window_overlap = 0.5  # part of a window shared with the next, in training and in test
    c.data.frames = 8  # T, frames a snippet
    c.data.stride = 8  # native frames between a snippet's frames; 0: spread evenly over the snippet
    c.data.height = 224  # of what the encoder sees at full fidelity
    c.data.width = 224
    c.data.short_side = 256  # pixels of a stored frame's short side
    c.data.quality = 95  # of the stored JPEGs
    c.data.crop_area = (0.7, 1.0)  # part of the picture that a random crop keeps in training
    c.data.flip = True  # mirror half of the videos in training
    c.data.streaming = False  # read from the video files themselves, with no preparation: slower
    c.data.workers = 0  # loader processes; 0: threads

    # Features made elsewhere, for rows that start from "external": folders with a file a video, comma-separated, whose
    # channels are concatenated.
    c.data.feature_dirs = ""

    # The source dataset of trimmed clips for stage 1. Empty: the target's own foreground segments.
    c.source = ConfigDict()
    c.source.video_dir = ""
    c.source.annotations = ""
    c.source.train_subset = "training"
    c.source.test_subset = ""  # measured after stage 1, 10 clips a video; empty: none
    c.source.snippets = 1
    c.source.snippets_per_second = 0.0  # above 0, in place of a fixed number
    # How a clip is drawn from what is stored of an action: one stored snippet ("snippet"), data.frames frames a fixed
    # stride apart ("dense"), or one from each of data.frames equal parts ("uniform").
    c.source.sampling = "snippet"
    c.source.stride = 2  # stored frames from one frame of a dense clip to the next

    # The embedded world (dataset = "synthetic").
    c.synthetic = ConfigDict()
    c.synthetic.world = "appearance"  # shapes tell the source's classes; or "motion": they do not
    c.synthetic.source_clips = 4000
    c.synthetic.train_videos = 160
    c.synthetic.test_videos = 100

    # Of the encoder's and the head's computation: "float32" or "bfloat16". Parameters, statistics, losses and
    # optimizers are float32 in any case.
    c.dtype = "float32"

    # An encoder or a head is a name and the arguments of its class.
    c.encoder = named("tsm_resnet18")
    c.head = named("gtad")
    c.other_heads = ConfigDict()  # options of heads that only rows name, by name

    # Stage 1: action classification on trimmed clips, BatchNorm in training. Batch sizes are over all devices.
    c.pretrain = ConfigDict()
    c.pretrain.epochs = 50.0
    c.pretrain.batch_size = 64
    c.pretrain.optimizer = optimizer(name="sgd", learning_rate=0.02, momentum=0.9)

    # ACP+: stage 1's encoder fine-tuned to classify the target's own foreground segments.
    c.fine_tune = ConfigDict()
    c.fine_tune.epochs = 15.0
    c.fine_tune.batch_size = 64
    c.fine_tune.optimizer = optimizer(name="sgd", learning_rate=0.002, momentum=0.9)

    # Stage 2: encoder and head end to end at low fidelity (paper, section 4.1).
    c.joint = ConfigDict()
    # The encoder to begin from: icp, acp, acp_plus, arrow_of_time or speednet.
    c.joint.start = "acp"
    # Of rows that name none: full, spatial, temporal, spatiotemporal, short_cycle or long_cycle.
    c.joint.fidelity = "long_cycle"
    # What low fidelities divide the full one by, and how long the cycles stay at each: steps (short), epochs (long).
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
    c.joint.batch_size = 16  # auto: the largest that fits
    # Snippets whose activations a device holds at once (0: all; auto: most that fit), what of them is kept for the way
    # back ("all", "convolutions" or "blocks"), and the parts in which a batch is worked, one after the other.
    c.joint.chunk = 25
    c.joint.keep = "all"
    c.joint.accumulate = 1
    c.joint.memory_gib = 0.0  # of a device, for auto; 0: what the device says
    c.joint.encoder_scale = 1.0  # the encoder's learning rate as a part of the head's
    c.joint.optimizer = optimizer(
        name="sgd", learning_rate=0.1, schedule="step", decay=0.5, decay_epochs=5.0
    )

    # Between the stages: full-fidelity features.
    c.extract = ConfigDict()
    c.extract.batch_size = 1  # videos, or windows of them
    c.extract.chunk = 25  # as joint.chunk, of the full fidelity's snippets

    # Stage 3: a fresh head on the features (G-TAD's own settings).
    c.head_training = ConfigDict()
    c.head_training.epochs = 10.0
    c.head_training.batch_size = 16
    # Features less their mean over their deviation; False: as the encoder gives them, as public heads know them.
    c.head_training.standardise = True
    c.head_training.optimizer = optimizer(
        name="adam", learning_rate=4e-3, schedule="step", decay=0.1, decay_epochs=5.0
    )

    # The video-level classifier that labels proposals: trained once, on the features of the first row, or external.
    c.classifier = ConfigDict()
    c.classifier.file = ""  # scores by video in the CUHK form; empty: the project's own classifier
    c.classifier.epochs = 30.0
    c.classifier.batch_size = 16
    c.classifier.hidden = 256  # width of its hidden layer
    c.classifier.top_classes = 2  # labels that each proposal gets
    c.classifier.optimizer = optimizer(name="adamw", learning_rate=1e-3, weight_decay=1e-2)

    c.detect = ConfigDict()
    c.detect.use_boundaries = True  # score = start x end x map values, else the map values alone
    c.detect.nms = "gaussian"  # or linear or hard
    c.detect.nms_sigma = 0.84  # of gaussian
    c.detect.nms_threshold = 0.5  # tIoU, of linear and hard
    c.detect.vote = 0.0  # tIoU from which proposals refine one that is kept; 0: none do
    c.detect.top_k = 100  # detections a video
    c.detect.batch_size = 8  # videos a head sees at once

    c.evaluate = ConfigDict()
    c.evaluate.tious = ""  # of the mAP, first:step:last; empty: the dataset's usual ones

    c.mesh = ConfigDict()
    c.mesh.data = -1  # devices over which videos are spread; -1: all that are left
    c.mesh.snippet = 1  # devices over which one video's snippets are spread
    c.mesh.parameters = "replicated"  # or "sharded": a part of them and of the optimizer on each
    c.mesh.cpu_devices = 2  # when JAX runs on the CPU, how many devices it shows

    c.log = ConfigDict()
    c.log.every = 10  # steps between lines and TensorBoard points
    c.log.checkpoint_seconds = 60.0  # longest time between two checkpoints
    c.log.cache_dir = ""  # compiled programs; empty: WORKDIR/cache
    return c.lock()


def paper(arguments: str | None) -> ConfigDict:
    """The paper's settings for one encoder, head and fidelity.

    Args:
        arguments: what stands behind the colon of --config=F:key=value,key=value; the keys are start (rows joined by
            "&"), fidelity, encoder and head.

    Raises:
        UserError: another key.
    """
    known = {
        "start": "acp&lofi",
        "fidelity": "long_cycle",
        "encoder": "tsm_resnet18",
        "head": "gtad",
    }
    given = dict(part.partition("=")[::2] for part in rows.names(arguments or ""))
    if unknown := sorted(given.keys() - known.keys()):
        raise UserError(f"--config: unknown argument {unknown[0]!r}: it takes {', '.join(known)}")
    chosen = known | given
    c = defaults()
    c.rows = chosen["start"].replace("&", ",")
    c.joint.fidelity = chosen["fidelity"]
    c.encoder, c.head = named(chosen["encoder"]), named(chosen["head"])
    if "speednet" in c.rows:
        c.data.stride, c.source.snippets = 0, 2  # it halves the speed of frames at equal distances
    if chosen["encoder"].startswith("r2plus1d"):
        c.data.height = c.data.width = 112
        c.data.short_side = 128
    return c


def named(name: str, **options) -> ConfigDict:
    """A class by name with the arguments it is made with."""
    return ConfigDict({"name": name, **options})


def validate(config: ConfigDict) -> None:
    """Checks all that can be checked before any work starts, but for where the data lies.

    Raises:
        UserError: naming the key and the fix.
    """
    _choice("dataset", config.dataset, DATASETS)
    for stage in rows.names(config.stages):
        _choice("stages", stage, STAGES)
    _choice("encoder.name", config.encoder.name, tuple(ENCODERS))
    _choice("head.name", config.head.name, tuple(HEADS))
    _choice("joint.fidelity", config.joint.fidelity, fidelity.NAMES)
    _choice(
        "joint.start", config.joint.start, ("icp", "acp", "acp_plus", "arrow_of_time", "speednet")
    )
    _choice("dtype", config.dtype, DTYPES)
    _choice("synthetic.world", config.synthetic.world, WORLDS)
    for part in ("pretrain", "fine_tune", "joint", "head_training", "classifier"):
        settings = config[part].optimizer
        _choice(f"{part}.optimizer.name", settings.name, OPTIMIZERS)
        _choice(f"{part}.optimizer.schedule", settings.schedule, SCHEDULES)
    _choice("joint.keep", config.joint.keep, chunked.KEEPS)
    _choice("mesh.parameters", config.mesh.parameters, PARAMETERS)
    for key in ("snippets", "frames", "height", "width", "short_side"):
        if config.data[key] < 1:
            raise UserError(f"config.data.{key} is {config.data[key]}: it must be at least 1")
    for part, key, least in _NUMBERS:
        number, name = config[part][key], f"{part}.{key}"
        if number < least and not (name in _AUTO_KEYS and number == AUTO):
            raise UserError(f"config.{name} is {number}: it must be at least {least}")
    _check_windows(config.data)
    _check_source(config)
    _choice("detect.nms", config.detect.nms, METHODS)
    for key in ("nms_threshold", "vote"):
        if not 0 <= config.detect[key] <= 1:
            raise UserError(f"config.detect.{key} is {config.detect[key]}: a tIoU is in 0..1")
    for key in ("top_k", "batch_size"):
        if config.detect[key] < 1:
            raise UserError(f"config.detect.{key} is {config.detect[key]}: it must be at least 1")
    if not config.detect.nms_sigma > 0:
        raise UserError(f"config.detect.nms_sigma is {config.detect.nms_sigma}: it must be above 0")
    tious(config)
    for row in rows_of(config):
        if row.start == "lofi":
            fidelity.schedule(row.fidelity, full_fidelity(config), factors(config), 1)


def _check_windows(data: ConfigDict) -> None:
    rate, window, overlap = data.snippets_per_second, data.window, data.window_overlap
    if rate < 0:
        raise UserError(f"config.data.snippets_per_second is {rate}: it must be a rate, or 0")
    if window < 0:
        raise UserError(f"config.data.window is {window}: it must be a number of snippets, or 0")
    if window and not rate:
        raise UserError(
            f"config.data.window is {window} and config.data.snippets_per_second is 0: windows need a rate"
        )
    if rate and not window:
        raise UserError(
            f"config.data.snippets_per_second is {rate} and config.data.window is 0: videos of many"
            " lengths need a window"
        )
    if not 0 <= overlap < 1:
        raise UserError(f"config.data.window_overlap is {overlap}: it must be in [0, 1)")


def _check_source(config: ConfigDict) -> None:
    source = config.source
    if config.data.stride and any("speednet" in row.start for row in rows_of(config)):
        raise UserError(
            f"config.data.stride is {config.data.stride}: speednet needs frames at equal distances: set it to 0"
        )
    _choice("source.sampling", source.sampling, ("snippet", "dense", "uniform"))
    own = config.dataset != "synthetic" and not source.video_dir
    if own and source.sampling != "snippet" and config.data.stride:
        raise UserError(
            f"config.source.sampling is {source.sampling!r} and the source is the target itself: its frames must be"
            " stored evenly: set config.data.stride to 0, or config.source.video_dir"
        )
    several = own or source.snippets > 1 or source.snippets_per_second
    if not several and (source.sampling != "snippet" or source.test_subset):
        raise UserError(
            "config.source.sampling and config.source.test_subset need more than one snippet a clip: set"
            " config.source.snippets, or config.source.snippets_per_second"
        )
    if source.stride < 1:
        raise UserError(f"config.source.stride is {source.stride}: it must be at least 1")


def validate_data(config: ConfigDict) -> None:
    """Checks that the config says where the data lies.

    Raises:
        UserError: naming the key and the fix.
    """
    if config.dataset == "synthetic":
        return
    table = rows_of(config)
    if not config.data.annotations:
        raise UserError("config.data.annotations is empty: name a file in the ActivityNet form")
    if any(row.start != "external" for row in table) and not config.data.video_dir:
        raise UserError("config.data.video_dir is empty: name a folder of videos")
    if any("external" in row.start for row in table) and not config.data.feature_dirs:
        raise UserError("config.data.feature_dirs is empty: name a folder with a file a video")


def rows_of(config: ConfigDict) -> list[rows.Row]:
    """The rows of the table."""
    return rows.parse(config.rows, config.joint.fidelity, config.head.name, tuple(HEADS))


def tious(config: ConfigDict) -> np.ndarray:
    """The thresholds (K,) that the mAP is averaged over."""
    text = config.evaluate.tious or thresholds.of_dataset(config.dataset)
    return thresholds.parse(text, "config.evaluate.tious")


def suppression(config: ConfigDict) -> Suppression:
    """How overlapping proposals are suppressed."""
    settings = config.detect
    return Suppression(
        settings.nms,
        settings.nms_sigma,
        settings.nms_threshold,
        settings.vote,
        settings.top_k,
    )


def full_fidelity(config: ConfigDict) -> fidelity.Fidelity:
    """The resolution of a video, or of a window of it, as prepared."""
    snippets = config.data.window or config.data.snippets
    return fidelity.Fidelity(snippets, config.data.height, config.data.width)


def factors(config: ConfigDict, **changes) -> fidelity.Factors:
    """By how much the config's low fidelities divide the full one, but for the given changes."""
    return fidelity.Factors(**{**config.joint.factors, **changes})


def _choice(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UserError(f"config.{key} is {value!r}: choose one of {', '.join(known)}")


def to_json(config: ConfigDict) -> str:
    """The config as JSON text, which `from_json` reads."""
    return config.to_json(indent=1)


def from_json(text: str) -> ConfigDict:
    """The config that `to_json` wrote; keys that did not exist then have their defaults."""
    return ConfigDict(_overlay(json.loads(defaults().to_json()), json.loads(text))).lock()


def _overlay(below: dict, above: dict) -> dict:
    both = {k: _overlay(below[k], v) for k, v in above.items() if isinstance(below.get(k), dict)}
    return below | above | both


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


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags of a command that has a config file, and the keys of it that are set there.

    Raises:
        UserError: no such config file, or a key that a config does not have, there or on the command line.
    """
    try:
        arguments = flags.FLAGS([_number(argument) for argument in argv])
        flags.FLAGS.config.keys()  # raises what kept the file from being read
        return arguments
    except OSError as error:
        raise UserError(f"--config: {str(error).splitlines()[-1].strip()}") from error
    except (AttributeError, KeyError) as error:
        if isinstance(error, AttributeError) and not isinstance(error.args[0], KeyError):
            raise
        key = re.search(r"""["'](\w+)\\?["']""", str(error))[1]
        meant = re.search(r'Did you mean ("\w+")', str(error))
        hint = f": did you mean {meant[1]}?" if meant else ""
        raise UserError(
            f"{_place(error, key, argv)}: the config has no key {key!r}{hint}"
        ) from error


def _number(argument: str) -> str:
    """An argument that leaves a number to the planner, with the number that stands for it."""
    key, _, value = argument.partition("=")
    known = key.lstrip("-").removeprefix("config.") in _AUTO_KEYS
    return f"{key}={AUTO}" if known and value == "auto" else argument


def _place(error: Exception, key: str, argv: Sequence[str]) -> str:
    """Where an unknown key stands: a line of the config file, or an argument."""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.name == "get_config":
            return f"{frame.filename}, line {frame.lineno}"
    return next(a for a in argv if key in a.partition("=")[0].split("."))
