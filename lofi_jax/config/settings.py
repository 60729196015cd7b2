"""All config keys and their defaults: the paper's procedure at its own sizes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from lofi_jax.fidelity import Factors
from lofi_jax.training.optimizer import Optimizer
from lofi_jax.training.recipe import Recipe

STAGES = ("data", "pretrain", "joint", "extract", "head", "detect", "evaluate")
DATASETS = ("synthetic", "activitynet", "hacs", "thumos14", "video_folder")
DTYPES = ("float32", "bfloat16")

OWN = "own"  # suppression of the head's authors

# What the project's own classifier classifies, or: as the training annotations ask for.
VIDEO, SEGMENT = "video", "segment"
LEVELS = ("auto", VIDEO, SEGMENT)


@dataclasses.dataclass(frozen=True)
class Named:
    """A class by name, and its arguments."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Data:
    """The target: untrimmed videos (100 snippets of 8 frames of 224 x 224 pixels)."""

    data_dir: str = ""  # where prepared datasets go; empty: WORKDIR/data
    video_dir: str = ""  # folder of the videos, at any depth
    annotations: str = ""  # file in the ActivityNet form; others: lofi_jax/data/README.md
    train_subset: str = "training"
    test_subset: str = "testing"  # detected in and evaluated
    # For few videos: those of the training subset with this "fold" in the annotation file are
    # tested instead, the others train; -1: no folds.
    fold: int = -1
    snippets: int = 100  # L of the full fidelity
    snippets_per_second: float = (
        0.0  # above 0: the number of snippets grows with the video's length
    )
    window: int = 0  # snippets per sliding window, instead of data.snippets; 0: whole videos
    window_overlap: float = 0.5  # fraction of a window shared with the next, in training and test
    frames: int = 8  # T, frames per snippet
    stride: int = 8  # native frames between a snippet's frames; 0: spread evenly over the snippet
    height: int = 224  # of what the encoder sees at full fidelity
    width: int = 224
    short_side: int = 256  # pixels of a stored frame's short side
    quality: int = 95  # of the stored JPEGs
    crop_area: tuple[float, float] = (0.7, 1.0)  # fraction of the image that a random crop keeps
    flip: bool = True  # mirror half of the videos in training
    # Colour changes in training, the same for all frames of a video: how far brightness, contrast
    # and saturation are multiplied (by 1 - x to 1 + x), how far the hue is turned (in turns).
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    # RandAugment in training (arXiv 1909.13719): random operations per video, and their magnitude
    # in 0..10.
    rand_augment: int = 0
    rand_magnitude: float = 7.0
    streaming: bool = False  # read the video files directly, without preparation: slower
    workers: int = 0  # loader processes; 0: threads
    # Features made elsewhere, for rows that start from "external": folders with one file per video,
    # comma-separated, whose channels are concatenated.
    feature_dirs: str = ""


@dataclasses.dataclass(frozen=True)
class Source:
    """The source: trimmed clips for stage 1. Without a folder: the target's foreground segments."""

    video_dir: str = ""
    annotations: str = ""
    train_subset: str = "training"
    test_subset: str = ""  # measured after stage 1, 10 clips per video; empty: none
    snippets: int = 1
    snippets_per_second: float = 0.0  # above 0: used instead of a fixed number
    # How a clip is drawn from the stored frames of an action: one stored snippet ("snippet"),
    # data.frames frames a fixed stride apart ("dense"), or one from each of data.frames equal parts
    # ("uniform").
    sampling: str = "snippet"
    stride: int = 2  # stored frames from one frame of a dense clip to the next


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """The built-in world (dataset = "synthetic")."""

    world: str = "appearance"  # shapes predict the source's classes; or "motion": they do not
    source_clips: int = 4000
    train_videos: int = 160
    test_videos: int = 100


@dataclasses.dataclass(frozen=True)
class Classification(Recipe):
    """A training that classifies clips."""

    label_smoothing: float = 0.0  # part of every label that is spread evenly over the classes


@dataclasses.dataclass(frozen=True)
class Joint(Recipe):
    """Stage 2: encoder and head end to end at low fidelity (paper, section 4.1)."""

    optimizer: Optimizer = Optimizer(
        name="sgd", learning_rate=0.1, schedule="step", decay=0.5, decay_epochs=5.0
    )
    # The encoder to start from: icp, acp, acp_plus, arrow_of_time or speednet.
    start: str = "acp"
    # For rows that name none: full, spatial, temporal, spatiotemporal, short_cycle or long_cycle.
    fidelity: str = "long_cycle"
    # By what the low fidelities divide the full one, and how long cycles stay at each: steps
    # (short), epochs (long).
    factors: Factors = Factors()
    # Snippets whose activations a device holds at once (0: all; auto: the most that fit); the remat
    # policy, what is kept of them for the backward pass ("all", "convolutions" or "blocks"); and
    # the microbatches per batch.
    chunk: int = 25
    keep: str = "all"
    accumulate: int = 1
    memory_gib: float = 0.0  # of a device, for auto; 0: as the device reports
    encoder_scale: float = 1.0  # the encoder's learning rate over the head's


@dataclasses.dataclass(frozen=True)
class Extract:
    """Between stages 2 and 3: full-fidelity features."""

    batch_size: int = 1  # videos, or windows of them
    chunk: int = 25  # as joint.chunk, of the full fidelity's snippets


@dataclasses.dataclass(frozen=True)
class HeadTraining(Recipe):
    """Stage 3: a fresh head on the features (G-TAD's own settings)."""

    epochs: float = 10.0
    optimizer: Optimizer = Optimizer(
        name="adam", learning_rate=4e-3, schedule="step", decay=0.1, decay_epochs=5.0
    )
    # (Features - mean) / deviation; False: as the encoder gives them, which public heads expect.
    standardise: bool = True


@dataclasses.dataclass(frozen=True)
class Classifier(Recipe):
    """The classifier that labels the proposals of heads that don't: external, or trained on the
    first row's features.
    """

    epochs: float = 30.0
    optimizer: Optimizer = Optimizer(weight_decay=1e-2)
    file: str = ""  # scores by video in the CUHK form; empty: the project's own classifier
    # What it classifies: each video, each segment, or (auto) videos unless over a fifth of the
    # training videos hold several classes.
    level: str = "auto"
    hidden: int = 256  # width of the hidden layer
    top_classes: int = 2  # labels per proposal


@dataclasses.dataclass(frozen=True)
class Detect:
    """Inference."""

    # The head's own suppression, which is Gaussian: of sigma 0.84 (gtad); of 0.4 above a tIoU of
    # 0.5 to 0.9 that grows with the length (bmn); of 0.5 (actionformer, tridet), 0.75
    # (actionformer_agnostic) or 0.7 (tridet_agnostic) down to a score of 0.001. Or: gaussian,
    # linear or hard, with the numbers below.
    nms: str = OWN
    nms_sigma: float = 0.84  # of gaussian
    nms_threshold: float = 0.5  # tIoU, of linear and hard
    min_score: float = 0.0  # of gaussian, linear and hard: no lower score is kept
    multiclass: bool = True  # False: proposals of different classes suppress each other too
    vote: float = 0.0  # tIoU from which proposals refine a kept one; 0: none do
    vote_by: str = "score_tiou"  # the weight of a vote: score x tIoU, or "score"
    top_k: int = 100  # detections per video
    batch_size: int = 8  # videos per batch


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The metrics."""

    tious: str = ""  # of the mAP, first:step:last; empty: the dataset's usual ones


@dataclasses.dataclass(frozen=True)
class Mesh:
    """The devices."""

    data: int = -1  # devices over which videos are sharded; -1: all remaining ones
    snippet: int = 1  # devices over which one video's snippets are sharded
    parameters: str = (
        "replicated"  # or "sharded": a part of them and of the optimizer state on each
    )
    cpu_devices: int = 2  # number of devices when JAX runs on the CPU


@dataclasses.dataclass(frozen=True)
class Log:
    """Logging and checkpoints during training."""

    every: int = 10  # steps between lines and TensorBoard points
    checkpoint_seconds: float = 60.0  # longest time between two checkpoints
    cache_dir: str = ""  # compiled programs; empty: WORKDIR/cache, on a CPU none


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    seed: int = 0  # of all randomness, the built-in world's too
    dataset: str = "video_folder"  # or one of DATASETS
    # Stages to run, in order; finished ones are not repeated.
    stages: str = ",".join(STAGES)
    # Rows of the table, start[:fidelity][/head]: each encoder gets features and a fresh head on
    # them.
    rows: str = "acp,lofi"
    # Orbax checkpoints, or the folder of a training that has some: the weights that stage 1 begins
    # from (ICP; empty: random), an encoder instead of stage 1's (ACP), a head instead of stage 3's.
    initial_checkpoint: str = ""
    encoder_checkpoint: str = ""
    head_checkpoint: str = ""
    timelines: int = 8  # test videos whose timelines are drawn
    # Of the encoder's and the head's computation: "float32" or "bfloat16". Parameters, batch_stats,
    # losses and optimizer state are always float32.
    dtype: str = "float32"
    data: Data = Data()
    source: Source = Source()
    synthetic: Synthetic = Synthetic()
    encoder: Named = field(default_factory=lambda: Named("tsm_resnet18"))
    head: Named = field(default_factory=lambda: Named("gtad"))
    other_heads: Mapping[str, Any] = field(
        default_factory=dict
    )  # options of heads that only rows name
    # Stage 1: action classification on trimmed clips, BatchNorm in training.
    pretrain: Classification = Classification(
        50.0, 64, Optimizer(name="sgd", learning_rate=0.02, momentum=0.9)
    )
    # ACP+: stage 1's encoder fine-tuned to classify the target's own foreground segments.
    fine_tune: Classification = Classification(
        15.0, 64, Optimizer(name="sgd", learning_rate=0.002, momentum=0.9)
    )
    joint: Joint = Joint()
    extract: Extract = Extract()
    head_training: HeadTraining = HeadTraining()
    classifier: Classifier = Classifier()
    detect: Detect = Detect()
    evaluate: Evaluate = Evaluate()
    mesh: Mesh = Mesh()
    log: Log = Log()
