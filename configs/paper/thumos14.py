"""THUMOS14 by sliding windows. The paper has no table for it: this is its procedure with G-TAD's
THUMOS14 settings.

    python -m lofi_jax.main --workdir=runs/thumos14 \
        --config=configs/paper/thumos14.py:encoder=tsm_resnet18,fidelity=long_cycle \
        --config.data.video_dir=VIDEOS --config.data.annotations=thumos14.json \
        --config.encoder_checkpoint=KINETICS --config.classifier.file=thumos14_scores.json

KINETICS is what `python -m lofi_jax.convert` makes of a public checkpoint trained on Kinetics-400
(ACP); the class scores are the usual external ones (UntrimmedNet's). The subsets are those of the
usual annotation file, "train" (the 200 videos of THUMOS14's validation set) and "test"; others are
named by --config.data.train_subset and .test_subset. Arguments, with their defaults:

    start=acp&lofi, the rows, joined by "&": icp, acp, acp_plus, arrow_of_time, speednet,
        acp+speednet, lofi
    fidelity=long_cycle, or full, spatial, temporal, spatiotemporal, short_cycle
    encoder=tsm_resnet18, or tsm_resnet34, tsm_resnet50, r2plus1d_18, r2plus1d_34
    head=gtad, or bmn, actionformer, tridet

From the code that G-TAD's authors published for THUMOS14 (github.com/frostinassiky/gtad): a snippet
every 5 frames (of 30 a second), windows of 256 snippets that share half with the next, anchors up
to 64 snippets long, 16 + 16 bins, a loss of start + end + regression + 10 x classification with 10
more of either side in the latter's counts, every anchor a proposal with the map values alone for a
score, none of 300 frames (60 snippets) or more, Adam 4e-5, 10 epochs in batches of 8, soft-NMS
0.46, 200 detections a video. A training window must hold 0.9 of an instance. Other than there, the
last window ends with the video, a short video ends with its last snippet repeated instead of zeros,
an instance cut by a border counts from half of it on, soft-NMS runs once, over the whole video, and
the maps learn tIoUs at the times that inference gives their cells (there the two lie half a snippet
apart).

With two-stream TSN features from frozen encoders, G-TAD reports 40.16 mAP at tIoU 0.5. No result of
this config is known yet. Snippets of 8 frames, 6 times a second, are 48 stored frames a second, 130
GB in all at 25 kB each; --config.data.streaming=True stores none.
"""

from lofi_jax.config import named, optimizer, paper


def get_config(text=None):
    c = paper(text)
    c.dataset = "thumos14"
    c.data.train_subset = "train"
    c.data.test_subset = "test"
    c.data.snippets_per_second = 6.0
    c.data.window = 256
    c.data.window_overlap = 0.5
    c.joint.chunk = c.extract.chunk = 32
    if c.head.name == "gtad":
        c.head = named(
            "gtad", max_duration=64, bins=(16, 16), map_kernel=3, rules="thumos14", longest=59
        )
        c.detect.nms = "gaussian"
        c.detect.nms_sigma = 0.46

    c.head_training.epochs = 10.0
    c.head_training.batch_size = 8
    c.head_training.optimizer = optimizer(
        name="adam",
        learning_rate=4e-5,
        schedule="step",
        decay=0.1,
        decay_epochs=5.0,
        clip_norm=1.0,
    )

    c.detect.top_k = 200
    return c
