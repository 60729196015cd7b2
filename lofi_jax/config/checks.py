"""The checks of a config before any work starts."""

import dataclasses

from lofi_jax import fidelity
from lofi_jax.comma_separated import names
from lofi_jax.config.settings import (
    AUTO,
    AUTO_KEYS,
    DATASETS,
    DTYPES,
    OWN,
    STAGES,
    Config,
    Data,
    Detect,
)
from lofi_jax.config.values import full_fidelity, rows_of, tious
from lofi_jax.data.world.script import WORLDS
from lofi_jax.detection.nms import METHODS, VOTES
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, HEADS, chunked
from lofi_jax.training.groups import GROUPS
from lofi_jax.training.optimizer import OPTIMIZERS, SCHEDULES
from lofi_jax.training.sharding import PARAMETERS

# Section, key and minimum.
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


def validate(config: Config) -> None:
    """Checks everything that can be checked before any work starts, except for the data's paths.

    Raises:
        UserError: naming the key and the fix.
    """
    _choice("dataset", config.dataset, DATASETS)
    for stage in names(config.stages):
        _choice("stages", stage, STAGES)
    for key, name, known in (
        ("encoder", config.encoder.name, ENCODERS),
        ("head", config.head.name, HEADS),
    ):
        if ":" not in name:  # otherwise a third party's class, package.module:Class
            _choice(f"{key}.name", name, tuple(known))
    _choice("joint.fidelity", config.joint.fidelity, fidelity.NAMES)
    _choice(
        "joint.start", config.joint.start, ("icp", "acp", "acp_plus", "arrow_of_time", "speednet")
    )
    _choice("dtype", config.dtype, DTYPES)
    _choice("synthetic.world", config.synthetic.world, WORLDS)
    for part in ("pretrain", "fine_tune", "joint", "head_training", "classifier"):
        settings = getattr(config, part).optimizer
        _choice(f"{part}.optimizer.name", settings.name, OPTIMIZERS)
        _choice(f"{part}.optimizer.schedule", settings.schedule, SCHEDULES)
    for part in ("pretrain", "fine_tune", "joint", "head_training", "classifier"):
        _check_recipe(config, part)
    _check_augmentation(config.data)
    _choice("joint.keep", config.joint.keep, chunked.KEEPS)
    _choice("mesh.parameters", config.mesh.parameters, PARAMETERS)
    for key in ("snippets", "frames", "height", "width", "short_side"):
        if (number := getattr(config.data, key)) < 1:
            raise UserError(f"config.data.{key} is {number}: it must be at least 1")
    for part, key, least in _NUMBERS:
        number, name = getattr(getattr(config, part), key), f"{part}.{key}"
        if number < least and not (name in AUTO_KEYS and number == AUTO):
            raise UserError(f"config.{name} is {number}: it must be at least {least}")
    _check_windows(config.data)
    _check_source(config)
    _choice("detect.nms", config.detect.nms, (OWN, *METHODS))
    _choice("detect.vote_by", config.detect.vote_by, VOTES)
    for key in ("nms_threshold", "vote", "min_score"):
        if not 0 <= (tiou := getattr(config.detect, key)) <= 1:
            kind = "score" if key == "min_score" else "tIoU"
            raise UserError(f"config.detect.{key} is {tiou}: a {kind} is in 0..1")
    for key in ("top_k", "batch_size"):
        if (number := getattr(config.detect, key)) < 1:
            raise UserError(f"config.detect.{key} is {number}: it must be at least 1")
    if not config.detect.nms_sigma > 0:
        raise UserError(f"config.detect.nms_sigma is {config.detect.nms_sigma}: it must be above 0")
    _check_own_suppression(config.detect)
    tious(config)
    for row in rows_of(config):
        if row.start == "lofi":
            fidelity.schedule(row.fidelity, full_fidelity(config), config.joint.factors, 1)


def _check_recipe(config: Config, part: str) -> None:
    recipe = getattr(config, part)
    if not 0 <= recipe.ema < 1:
        raise UserError(f"config.{part}.ema is {recipe.ema}: a decay is in [0, 1)")
    for group in GROUPS:
        for key, scale in dataclasses.asdict(getattr(recipe.optimizer, group)).items():
            if scale < 0:
                raise UserError(
                    f"config.{part}.optimizer.{group}.{key} is {scale}: it must be at least 0"
                )
    groups = ("head",) if part in ("head_training", "classifier") else GROUPS
    if set(groups) <= set(recipe.optimizer.frozen):
        mean = f": config.{part}.ema has no mean to keep" if recipe.ema else ""
        raise UserError(
            f"config.{part}.optimizer freezes {', '.join(groups)}, so nothing trains{mean}: set"
            f" config.{part}.optimizer.{groups[-1]}.learning_rate_scale above 0"
        )
    smoothing = getattr(recipe, "label_smoothing", 0.0)
    if not 0 <= smoothing < 1:
        raise UserError(f"config.{part}.label_smoothing is {smoothing}: it must be in [0, 1)")


def _check_augmentation(data: Data) -> None:
    for key, most in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
        if not 0 <= (strength := getattr(data, key)) <= most:
            raise UserError(f"config.data.{key} is {strength}: it must be in 0..{most}")
    if data.rand_augment < 0:
        raise UserError(f"config.data.rand_augment is {data.rand_augment}: it must be at least 0")
    if not 0 <= data.rand_magnitude <= 10:
        raise UserError(f"config.data.rand_magnitude is {data.rand_magnitude}: it must be in 0..10")


def _check_own_suppression(detect: Detect) -> None:
    for key in ("nms_sigma", "nms_threshold", "min_score"):
        value = getattr(detect, key)
        if detect.nms == OWN and value != getattr(Detect(), key):
            raise UserError(
                f"config.detect.{key} is {value} and config.detect.nms is {OWN!r}, which has its"
                " own value: set nms to one of"
                f" {', '.join(METHODS)}"
            )


def _check_windows(data: Data) -> None:
    rate, window, overlap = data.snippets_per_second, data.window, data.window_overlap
    if rate < 0:
        raise UserError(
            f"config.data.snippets_per_second is {rate}: it must be a positive rate, or 0"
        )
    if window < 0:
        raise UserError(f"config.data.window is {window}: it must be a number of snippets, or 0")
    if window and not rate:
        raise UserError(
            f"config.data.window is {window} and config.data.snippets_per_second is 0: windows"
            " need a rate"
        )
    if rate and not window:
        raise UserError(
            f"config.data.snippets_per_second is {rate} and config.data.window is 0: videos of many"
            " lengths need a window"
        )
    if not 0 <= overlap < 1:
        raise UserError(f"config.data.window_overlap is {overlap}: it must be in [0, 1)")


def _check_source(config: Config) -> None:
    source = config.source
    if config.data.stride and any("speednet" in row.start for row in rows_of(config)):
        raise UserError(
            f"config.data.stride is {config.data.stride}: speednet needs equally spaced frames:"
            " set it to 0"
        )
    _choice("source.sampling", source.sampling, ("snippet", "dense", "uniform"))
    own = config.dataset != "synthetic" and not source.video_dir
    if own and source.sampling != "snippet" and config.data.stride:
        raise UserError(
            f"config.source.sampling is {source.sampling!r} and the source is the target itself:"
            " its frames must be"
            " stored evenly: set config.data.stride to 0, or config.source.video_dir"
        )
    several = own or source.snippets > 1 or source.snippets_per_second
    if not several and (source.sampling != "snippet" or source.test_subset):
        raise UserError(
            "config.source.sampling and config.source.test_subset need more than one snippet a"
            " clip: set"
            " config.source.snippets, or config.source.snippets_per_second"
        )
    if source.stride < 1:
        raise UserError(f"config.source.stride is {source.stride}: it must be at least 1")


def validate_data(config: Config) -> None:
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


def _choice(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UserError(f"config.{key} is {value!r}: choose one of {', '.join(known)}")
