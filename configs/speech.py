"""Visible speech: which word is spoken when, from the lips alone. Speaker 1 of the GRID corpus.

    python -m lofi_jax.prepare --dataset=video_folder --video_dir=VIDEOS \
        --annotations=annotations.json --data_dir=data \
        --snippets=36 --frames_per_snippet=4 --stride=1 --short_side=72
    python -m lofi_jax.main --config=configs/speech.py --workdir=runs/speech \
        --config.data.data_dir=data \
        --config.data.video_dir=VIDEOS --config.data.annotations=annotations.json

The corpus (M. Cooke, J. Barker, S. Cunningham, X. Shao, 2006) is at
spandh.dcs.shef.ac.uk/gridcorpus: s1/video has speaker 1's sentences of 3 s, 75 pictures of 360 x
288, and s1/align says of each word in which picture it begins and ends, times 1000. VIDEOS holds
each as an MP4 file of the 128 x 128 pixels around the mouth, such as

    ffmpeg -i bbaf2n.mpg -vf crop=128:128:X:Y bbaf2n.mp4

and annotations.json is in the ActivityNet form, in seconds: all words but "sil" and "sp" are
segments, labelled with the word. A third of the sentences is for testing.

Each video holds six of the corpus's 51 words, one after the other without a gap, of 2 to 12
pictures. So the labels come by segment, the thresholds are 0.3:0.1:0.7, and the class-aware mAP is
the one to judge by: the fixed grammar tells a head much of when words come, not which. Stage 1
learns to classify the words, then come S-LoFi at 32 x 32 and a fresh head on either encoder's
features (acp, lofi).

Not run in full yet. Its parts, measured beside other work, make half an hour on two cores. A trial
with 240 training and 80 test videos and 6 epochs of S-LoFi, its own encoder for the labels too,
gave 3.7 class-aware and 25.7 class-agnostic average mAP: the classifier of segments named one
annotated word in six of videos it had not seen (chance: one in 24).
"""

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
    # Larger random crops than the lips move hide what they say.
    c.data.crop_area = (0.85, 1.0)
    c.evaluate.tious = "0.3:0.1:0.7"

    c.encoder = named("tsm_resnet", stage_sizes=(1, 1, 1), widths=(16, 32, 64), stem="small")
    c.head = named("gtad", channels=64, widths=(64, 64, 64, 64), bins=(8, 2), groups=8)

    c.pretrain.epochs = 40.0
    c.pretrain.batch_size = 64
    c.pretrain.optimizer = optimizer(learning_rate=5e-3, warmup_epochs=1.0)

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
