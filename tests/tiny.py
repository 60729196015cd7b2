"""A config so small that a whole run takes seconds: it shows that the parts fit, not that they work
well.
"""

from lofi_jax.config import defaults, named, optimizer


def get_config():
    c = defaults()
    c.dataset = "synthetic"
    c.timelines = 2
    c.data.snippets = 16
    c.data.frames = 2
    c.data.stride = 0
    c.data.height = 16
    c.data.width = 16
    c.data.short_side = 16
    c.synthetic.source_clips = 48
    c.synthetic.train_videos = 8
    c.synthetic.test_videos = 4

    c.encoder = named("tsm_resnet", stage_sizes=(1, 1), widths=(8, 16), stem="small", shift_div=4)
    c.head = named("gtad", channels=16, widths=(16, 16), bins=(4, 2), groups=4)

    c.pretrain.epochs = 1.0
    c.pretrain.batch_size = 8
    c.pretrain.optimizer = optimizer(learning_rate=3e-3)
    c.joint.fidelity = "temporal"
    c.joint.epochs = 3.0
    c.joint.batch_size = 4
    c.joint.chunk = 0
    c.joint.optimizer = optimizer(learning_rate=3e-3, clip_norm=5.0)
    c.extract.batch_size = 2
    c.extract.chunk = 0
    c.head_training.epochs = 2.0
    c.head_training.batch_size = 4
    c.classifier.epochs = 2.0
    c.classifier.batch_size = 4
    c.classifier.hidden = 8

    c.log.every = 1
    return c
