"""The tiny config with videos cut into sliding windows, as configs/paper/thumos14.py does it, and
smaller still.

Its source is read as Kinetics is: clips of frames a fixed stride apart, and 10 of them a video in
test.
"""

import pathlib

from lofi_jax.config import load


def get_config():
    c = load(str(pathlib.Path(__file__).with_name("tiny.py")))
    c.rows = "lofi"
    c.timelines = 1
    c.data.snippets_per_second = 0.75
    c.data.window = 12
    c.data.window_overlap = 0.5
    c.synthetic.source_clips = 10
    c.synthetic.train_videos = 3
    c.synthetic.test_videos = 2
    c.source.snippets = 2
    c.source.sampling = "dense"
    c.source.test_subset = "validation"
    c.joint.epochs = 1.0
    c.head_training.epochs = 1.0
    c.classifier.epochs = 1.0
    return c
