"""Visible speech: which word is spoken when, from the lips alone. Speaker 1 of the GRID corpus."""

from lofi_jax.config import defaults, named, optimizer


def get_config():
    c = defaults()
    c.dataset = "video_folder"
    c.data.snippets = 36
    c.data.frames = 4
    c.data.stride = 1
    c.data.height = 64
    c.data.width = 64
    c.data.short_side = 72
    c.evaluate.tious = "0.3:0.1:0.7"

    c.encoder = named("tsm_resnet", stage_sizes=(1, 1, 1), widths=(16, 32, 64), stem="small")
    c.head = named("gtad", channels=64, widths=(64, 64, 64, 64), bins=(8, 2), groups=8)

    c.pretrain.epochs = 15.0
    c.pretrain.batch_size = 32
    c.pretrain.optimizer = optimizer(learning_rate=3e-3, warmup_epochs=1.0)

    c.joint.fidelity = "spatial"
    c.joint.epochs = 15.0
    c.joint.batch_size = 4
    c.joint.chunk = 0
    c.joint.optimizer = optimizer(learning_rate=3e-3, warmup_epochs=1.0, clip_norm=5.0)

    c.extract.batch_size = 4
    c.extract.chunk = 0

    c.head_training.epochs = 30.0
    c.head_training.batch_size = 16
    c.head_training.optimizer = optimizer(name="adam", learning_rate=2e-3)

    c.classifier.epochs = 30.0
    c.classifier.batch_size = 16
    c.classifier.hidden = 128
    return c
