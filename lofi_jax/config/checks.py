"""The checks of a config before any work starts."""

from lofi_jax import fidelity
from lofi_jax.comma_separated import names
from lofi_jax.config import ranges
from lofi_jax.config.settings import (
    DATASETS,
    DTYPES,
    LEVELS,
    OWN,
    SEGMENT,
    STAGES,
    Config,
    Data,
    Detect,
)
from lofi_jax.config.values import full_fidelity, rows_of, tious
from lofi_jax.data.world.script import WORLDS
from lofi_jax.detection.nms import METHODS, VOTES
from lofi_jax.errors import UserError, as_usage
from lofi_jax.models import ENCODERS, HEADS, chunked
from lofi_jax.training.groups import GROUPS
from lofi_jax.training.optimizer import OPTIMIZERS, SCHEDULES
from lofi_jax.training.sharding import PARAMETERS


@as_usage()
def validate(config: Config) -> None:
    """Checks everything that can be checked before any work starts, except for the data's paths.

    Raises:
        UserError: naming the key and the fix.
    """
    ranges.check(config)
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
    for part in ranges.TRAININGS:
        settings = getattr(config, part).optimizer
        _choice(f"{part}.optimizer.name", settings.name, OPTIMIZERS)
        _choice(f"{part}.optimizer.schedule", settings.schedule, SCHEDULES)
        _check_recipe(config, part)
    _choice("joint.keep", config.joint.keep, chunked.KEEPS)
    _choice("mesh.parameters", config.mesh.parameters, PARAMETERS)
    _check_windows(config.data)
    _check_fold(config)
    _check_source(config)
    _choice("classifier.level", config.classifier.level, LEVELS)
    if config.classifier.file and config.classifier.level == SEGMENT:
        raise UserError(
            f"config.classifier.level is {SEGMENT!r} and config.classifier.file is"
            f" {config.classifier.file!r}, whose scores are of videos: leave one of them out"
        )
    _choice("detect.nms", config.detect.nms, (OWN, *METHODS))
    _choice("detect.vote_by", config.detect.vote_by, VOTES)
    _check_own_suppression(config.detect)
    tious(config)
    for row in rows_of(config):
        if row.start == "lofi":
            fidelity.schedule(row.fidelity, full_fidelity(config), config.joint.factors, 1)


def _check_recipe(config: Config, part: str) -> None:
    recipe = getattr(config, part)
    groups = ("head",) if part in ("head_training", "classifier") else GROUPS
    if set(groups) <= set(recipe.optimizer.frozen):
        mean = f": config.{part}.ema has no mean to keep" if recipe.ema else ""
        raise UserError(
            f"config.{part}.optimizer freezes {', '.join(groups)}, so nothing trains{mean}: set"
            f" config.{part}.optimizer.{groups[-1]}.learning_rate_scale above 0"
        )


def _check_own_suppression(detect: Detect) -> None:
    for key in ("nms_sigma", "nms_threshold", "min_score"):
        value = getattr(detect, key)
        if detect.nms == OWN and value != getattr(Detect(), key):
            raise UserError(
                f"config.detect.{key} is {value} and config.detect.nms is {OWN!r}, which has its"
                " own value: set nms to one of"
                f" {', '.join(METHODS)}"
            )


def _check_fold(config: Config) -> None:
    fold = config.data.fold
    if fold >= 0 and config.dataset == "synthetic":
        raise UserError(
            f"config.data.fold is {fold} and config.dataset is 'synthetic', whose videos have no"
            " folds: leave it out"
        )
    if fold >= 0 and config.source.test_subset and not config.source.video_dir:
        raise UserError(
            f"config.data.fold is {fold} and config.source.test_subset is"
            f" {config.source.test_subset!r}: the target's videos are split by fold, not by subset:"
            " leave one of them out"
        )


def _check_windows(data: Data) -> None:
    rate, window = data.snippets_per_second, data.window
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


@as_usage()
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
