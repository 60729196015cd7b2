"""All keys and their defaults, which live here and nowhere else."""

from ml_collections import ConfigDict

STAGES = ("data", "pretrain", "joint", "extract", "head", "detect", "evaluate")
DATASETS = ("synthetic", "activitynet", "hacs", "thumos14", "video_folder")
DTYPES = ("float32", "bfloat16")

OWN = "own"  # suppression as the head's authors do it

# A number that is left to the planner; on the command line it is written "auto".
AUTO = -1
AUTO_KEYS = ("joint.batch_size", "joint.chunk")


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
    # The head's own suppression, which is Gaussian: of sigma 0.84 (gtad); of 0.4 above a tIoU of 0.5 to 0.9 that grows
    # with the length (bmn); of 0.5 (actionformer) or 0.75 (actionformer_agnostic) down to a score of 0.001. Or:
    # gaussian, linear or hard, with the numbers below.
    c.detect.nms = OWN
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


def named(name: str, **options) -> ConfigDict:
    """A class by name with the arguments it is made with."""
    return ConfigDict({"name": name, **options})
