"""THUMOS14 from features made elsewhere: ActionFormer or TriDet on two-stream I3D.

    python -m lofi_jax.main --workdir=runs/thumos14_features \
        --config=configs/features/thumos14.py:head=tridet \
        --config.data.feature_dirs=I3D --config.data.annotations=thumos14.json

I3D is the folder of features that ActionFormer's authors publish: one .npy per video, (length,
2048), a row every 4 frames of 30 a second, of 16 frames. The subsets are those of the usual
annotation file, "train" and "test"; others are named by --config.data.train_subset and
.test_subset. The argument, with its default:

    head=actionformer, or tridet

Average mAP over tIoU 0.3:0.1:0.7 to expect, as published (OpenTAD's model zoo): actionformer 68.44,
tridet 69.60. No result of this config is known yet.

Settings are those of OpenTAD's configs: AdamW with weight decay of matrices alone, a running mean
of the parameters of decay 0.999, two videos a step, drop path 0.1; ActionFormer with an input
dropout of 0.2 and 35 epochs, TriDet with input noise of 0.0005, losses weighted by tIoU^0.2 and 40
epochs; soft-NMS 0.5 in each class, 2,000 detections a video. (Its voting threshold has no effect:
its code does not vote where each class is suppressed by itself. --config.detect.vote=0.7
--config.detect.vote_by=score votes within a class.) Other than there, a video longer than 2,304
rows is cut into windows that share half with the next, where OpenTAD trains on a random part of it
and detects in the whole; a shorter one is filled up with its last row instead of masked zeros; the
rows are spread evenly over the video, where they begin and end 0.2 s inside of it; and the loss is
over the batch's own number of positives.

A training step of two videos takes (XLA's plan for the CPU in float32, jax 0.10.2; nothing has run
on a GPU): MEMORY
"""

from lofi_jax.comma_separated import names
from lofi_jax.config import defaults, named, optimizer
from lofi_jax.errors import UserError

HEADS = ("actionformer", "tridet")


def get_config(text=None):
    given = dict(part.partition("=")[::2] for part in names(text or ""))
    name = given.pop("head", "actionformer")
    if given:
        raise UserError(f"--config: unknown argument {next(iter(given))!r}: it takes head")
    if name not in HEADS:
        raise UserError(f"--config: head={name}: choose one of {', '.join(HEADS)}")
    c = defaults()
    c.dataset = "thumos14"
    c.rows = "external"
    c.data.train_subset = "train"
    c.data.test_subset = "test"
    c.data.snippets_per_second = 7.5
    c.data.window = 2304
    c.data.window_overlap = 0.5
    c.head = named(name, drop_path=0.1)

    c.head_training.standardise = False
    c.head_training.batch_size = 2
    c.head_training.ema = 0.999
    c.head_training.optimizer = optimizer(
        learning_rate=1e-4, weight_decay=0.05, decay_vectors=False, warmup_epochs=5.0, clip_norm=1.0
    )
    if name == "actionformer":
        c.head_training.epochs = 35.0
        c.head.input_dropout = 0.2
    else:
        c.head_training.epochs = 40.0
        c.head_training.optimizer.weight_decay = 0.025
        c.head_training.optimizer.warmup_epochs = 20.0
        c.head.iou_power = 0.2
        c.head.input_noise = 0.0005

    c.detect.top_k = 2000
    c.detect.batch_size = 1
    return c
