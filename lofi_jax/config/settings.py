"""All keys and their defaults, which live here and nowhere else: the paper's procedure at its own sizes."""

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

OWN = "own"  # suppression as the head's authors do it

# A number that is left to the planner; on the command line it is written "auto".
AUTO = -1
AUTO_KEYS = ("joint.batch_size", "joint.chunk")


@dataclasses.dataclass(frozen=True)
class Named:
    """A class by name, with the arguments it is made with."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Data:
    """The target: untrimmed videos (100 snippets of 8 frames of 224 x 224 pixels), and how they are read."""

    data_dir: str = ""  # where prepared datasets go; empty: WORKDIR/data
    video_dir: str = ""  # folder of the videos, at any depth
    annotations: str = ""  # file in the ActivityNet form; others: lofi_jax/data/README.md
    train_subset: str = "training"
    test_subset: str = "testing"  # detected in and evaluated
    snippets: int = 100  # L of the full fidelity
    snippets_per_second: float = 0.0  # above 0: a video has as many snippets as it is long
    window: int = 0  # snippets of a sliding window, L in place of data.snippets; 0: whole videos
    window_overlap: float = 0.5  # part of a window shared with the next, in training and in test
    frames: int = 8  # T, frames a snippet
    stride: int = 8  # native frames between a snippet's frames; 0: spread evenly over the snippet
    height: int = 224  # of what the encoder sees at full fidelity
    width: int = 224
    short_side: int = 256  # pixels of a stored frame's short side
    quality: int = 95  # of the stored JPEGs
    crop_area: tuple[float, float] = (0.7, 1.0)  # part of the image that a random crop keeps
    flip: bool = True  # mirror half of the videos in training
    streaming: bool = False  # read from the video files themselves, with no preparation: slower
    workers: int = 0  # loader processes; 0: threads
    # Features made elsewhere, for rows that start from "external": folders with a file a video, comma-separated, whose
    # channels are concatenated.
    feature_dirs: str = ""


@dataclasses.dataclass(frozen=True)
class Source:
    """The source dataset of trimmed clips for stage 1. Without a folder: the target's own foreground segments."""

    video_dir: str = ""
    annotations: str = ""
    train_subset: str = "training"
    test_subset: str = ""  # measured after stage 1, 10 clips a video; empty: none
    snippets: int = 1
    snippets_per_second: float = 0.0  # above 0, in place of a fixed number
    # How a clip is drawn from what is stored of an action: one stored snippet ("snippet"), data.frames frames a fixed
    # stride apart ("dense"), or one from each of data.frames equal parts ("uniform").
    sampling: str = "snippet"
    stride: int = 2  # stored frames from one frame of a dense clip to the next


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """The built-in world (dataset = "synthetic")."""

    world: str = "appearance"  # shapes tell the source's classes; or "motion": they do not
    source_clips: int = 4000
    train_videos: int = 160
    test_videos: int = 100


@dataclasses.dataclass(frozen=True)
class Joint(Recipe):
    """Stage 2: encoder and head end to end at low fidelity (paper, section 4.1)."""

    optimizer: Optimizer = Optimizer(
        name="sgd", learning_rate=0.1, schedule="step", decay=0.5, decay_epochs=5.0
    )
    # The encoder to begin from: icp, acp, acp_plus, arrow_of_time or speednet.
    start: str = "acp"
    # Of rows that name none: full, spatial, temporal, spatiotemporal, short_cycle or long_cycle.
    fidelity: str = "long_cycle"
    # What low fidelities divide the full one by, and how long the cycles stay at each: steps (short), epochs (long).
    factors: Factors = Factors()
    # Snippets whose activations a device holds at once (0: all; auto: most that fit), what of them is kept for the
    # backward pass ("all", "convolutions" or "blocks"), and the microbatches into which a batch is split.
    chunk: int = 25
    keep: str = "all"
    accumulate: int = 1
    memory_gib: float = 0.0  # of a device, for auto; 0: what the device says
    encoder_scale: float = 1.0  # the encoder's learning rate as a part of the head's


@dataclasses.dataclass(frozen=True)
class Extract:
    """Between the stages: full-fidelity features."""

    batch_size: int = 1  # videos, or windows of them
    chunk: int = 25  # as joint.chunk, of the full fidelity's snippets


@dataclasses.dataclass(frozen=True)
class HeadTraining(Recipe):
    """Stage 3: a fresh head on the features (G-TAD's own settings)."""

    epochs: float = 10.0
    optimizer: Optimizer = Optimizer(
        name="adam", learning_rate=4e-3, schedule="step", decay=0.1, decay_epochs=5.0
    )
    # Features less their mean over their deviation; False: as the encoder gives them, as public heads know them.
    standardise: bool = True


@dataclasses.dataclass(frozen=True)
class Classifier(Recipe):
    """The video-level classifier that labels proposals: trained once, on the first row's features, or external."""

    epochs: float = 30.0
    optimizer: Optimizer = Optimizer(weight_decay=1e-2)
    file: str = ""  # scores by video in the CUHK form; empty: the project's own classifier
    hidden: int = 256  # width of its hidden layer
    top_classes: int = 2  # labels that each proposal gets


@dataclasses.dataclass(frozen=True)
class Detect:
    """Inference."""

    # The head's own suppression, which is Gaussian: of sigma 0.84 (gtad); of 0.4 above a tIoU of 0.5 to 0.9 that grows
    # with the length (bmn); of 0.5 (actionformer) or 0.75 (actionformer_agnostic) down to a score of 0.001. Or:
    # gaussian, linear or hard, with the numbers below.
    nms: str = OWN
    nms_sigma: float = 0.84  # of gaussian
    nms_threshold: float = 0.5  # tIoU, of linear and hard
    vote: float = 0.0  # tIoU from which proposals refine one that is kept; 0: none do
    top_k: int = 100  # detections a video
    batch_size: int = 8  # videos a head sees at once


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The metrics."""

    tious: str = ""  # of the mAP, first:step:last; empty: the dataset's usual ones


@dataclasses.dataclass(frozen=True)
class Mesh:
    """The devices."""

    data: int = -1  # devices over which videos are spread; -1: all that are left
    snippet: int = 1  # devices over which one video's snippets are spread
    parameters: str = "replicated"  # or "sharded": a part of them and of the optimizer on each
    cpu_devices: int = 2  # when JAX runs on the CPU, how many devices it shows


@dataclasses.dataclass(frozen=True)
class Log:
    """What a run tells and keeps while it trains."""

    every: int = 10  # steps between lines and TensorBoard points
    checkpoint_seconds: float = 60.0  # longest time between two checkpoints
    cache_dir: str = ""  # compiled programs; empty: WORKDIR/cache


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    seed: int = 0  # of all that is random, the built-in world too
    dataset: str = "video_folder"  # or one of DATASETS
    # Stages to run, in order; finished ones are not repeated.
    stages: str = ",".join(STAGES)
    # Rows of the table, start[:fidelity][/head]: each encoder gets features and a fresh head on them.
    rows: str = "acp,lofi"
    # Orbax checkpoints: the weights that stage 1 begins from (ICP; empty: random), an encoder in place of stage 1's
    # (ACP), and a head in place of stage 3's.
    initial_checkpoint: str = ""
    encoder_checkpoint: str = ""
    head_checkpoint: str = ""
    timelines: int = 8  # test videos whose timelines are drawn
    # Of the encoder's and the head's computation: "float32" or "bfloat16". Parameters, statistics, losses and
    # optimizers are float32 in any case.
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
    pretrain: Recipe = Recipe(50.0, 64, Optimizer(name="sgd", learning_rate=0.02, momentum=0.9))
    # ACP+: stage 1's encoder fine-tuned to classify the target's own foreground segments.
    fine_tune: Recipe = Recipe(15.0, 64, Optimizer(name="sgd", learning_rate=0.002, momentum=0.9))
    joint: Joint = Joint()
    extract: Extract = Extract()
    head_training: HeadTraining = HeadTraining()
    classifier: Classifier = Classifier()
    detect: Detect = Detect()
    evaluate: Evaluate = Evaluate()
    mesh: Mesh = Mesh()
    log: Log = Log()
