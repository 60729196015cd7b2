"""The tiny config with a thin video transformer as encoder, adapters in its frozen backbone: every
row trains at another fidelity.
"""

import pathlib

from lofi_jax.config import load, named


def get_config():
    c = load(str(pathlib.Path(__file__).with_name("tiny.py")))
    c.rows = "acp,lofi:full,lofi:spatiotemporal"
    c.timelines = 1
    c.synthetic.source_clips = 16
    c.synthetic.train_videos = 4
    c.synthetic.test_videos = 2
    c.encoder = named(
        "videomae",
        width=16,
        depth=2,
        heads=2,
        clip=2,
        patch=8,
        image=16,
        adapter="tia",
        backbone="frozen",
    )
    c.joint.epochs = 1.0
    c.joint.chunk = 4
    c.joint.factors.both_spatial = 2.0
    c.joint.factors.multiple = 8
    c.extract.chunk = 4
    c.head_training.epochs = 1.0
    c.classifier.epochs = 1.0
    return c
