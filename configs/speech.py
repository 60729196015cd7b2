"""Visible speech: which word is spoken when, from the lips alone. Speaker 1 of the GRID corpus.

    python -m lofi_jax.prepare --dataset=video_folder --video_dir=VIDEOS \
        --annotations=annotations.json --data_dir=data \
        --snippets=36 --frames_per_snippet=4 --stride=2 --short_side=64
    python -m lofi_jax.main --config=configs/speech.py --workdir=runs/speech \
        --config.data.data_dir=data \
        --config.data.video_dir=VIDEOS --config.data.annotations=annotations.json

The corpus (M. Cooke, J. Barker, S. Cunningham, X. Shao, 2006) is at
spandh.dcs.shef.ac.uk/gridcorpus: s1/video has speaker 1's sentences of 3 s, 75 frames of 360 x
288, and s1/align says of each word in which frame it begins and ends, times 1000. VIDEOS holds
each as an MP4 file of the 64 x 64 pixels around the mouth, nearly without loss, such as

    ffmpeg -i bbaf2n.mpg -vf crop=64:64:X:Y -crf 8 bbaf2n.mp4

and annotations.json is in the ActivityNet form, in seconds: all words but "sil" and "sp" are
segments, labelled with the word. The numbers below are of 560 training and 240 test videos.

Each video holds six of the corpus's 51 words, one after the other without a gap, of 2 to 12
frames. So the labels come by segment, the thresholds are 0.3:0.1:0.7, and the class-aware mAP is
the one to judge by: the fixed grammar tells a head much of when words come, not which. Stage 1
learns to classify the words; then come the joint trainings and a fresh head on each encoder's
features.

Expect 40 to 42 class-aware and 65 to 67 class-agnostic average mAP of the frozen encoder, about 43
and 68 of T- and ST-LoFi, and nothing gained by S-LoFi: 20 x 20 pixels are too few for lips. All
four rows took 48 minutes on one core of a VM, beside other work; configs/README.md has the figures,
of full fidelity and the cycles too.
"""

from ml_collections import ConfigDict

from lofi_jax.config import defaults, named, optimizer


def get_config():
    c = defaults()
    c.dataset = "video_folder"
    c.rows = "acp,lofi:temporal,lofi:spatiotemporal,lofi:spatial"
    c.data.snippets = 36
    c.data.frames = 4
    c.data.stride = 2
    c.data.height = 40
    c.data.width = 40
    c.data.short_side = 64
    # Smaller crops cut lips off.
    c.data.crop_area = (0.85, 1.0)
    c.evaluate.tious = "0.3:0.1:0.7"

    c.encoder = named("tsm_resnet", stage_sizes=(1, 1, 1), widths=(16, 32, 64), stem="small")
    c.head = named("gtad", channels=64, widths=(64, 64, 64, 64), bins=(8, 2), groups=8)
    with c.unlocked():
        c.other_heads.actionformer = ConfigDict(dict(channels=64, window=9, levels=3))

    c.pretrain.epochs = 15.0
    c.pretrain.batch_size = 32
    c.pretrain.optimizer = optimizer(learning_rate=3e-3, warmup_epochs=1.0)

    # A word lasts six frames; at 4 (the default) a snippet would stand for eight.
    c.joint.factors.temporal = 2
    c.joint.epochs = 6.0
    c.joint.batch_size = 4
    c.joint.chunk = 0
    c.joint.optimizer = optimizer(learning_rate=3e-3, warmup_epochs=1.0, clip_norm=5.0)

    c.extract.batch_size = 4
    c.extract.chunk = 0

    c.head_training.epochs = 20.0
    c.head_training.batch_size = 16
    c.head_training.optimizer = optimizer(name="adam", learning_rate=2e-3)

    c.classifier.epochs = 20.0
    c.classifier.batch_size = 16
    c.classifier.hidden = 128
    return c
