"""Your own videos: any folder of them with an annotation file in the ActivityNet form, trained from
scratch.

    python -m lofi_jax.main --config=configs/video_folder.py --workdir=runs/folder \
        --config.data.video_dir=VIDEOS --config.data.annotations=annotations.json

A video lies anywhere below VIDEOS as ID.mp4 or v_ID.mp4 (or .mkv, .avi, .mov, .webm). The file
says, in seconds,

    {"database": {"ID": {"subset": "training",
                         "annotations": [{"segment": [1.5, 4.0], "label": "a class"}]}, ...}}

with the subsets "training" and "testing", unless --config.data.train_subset and
--config.data.test_subset name others. What is missing, broken or not annotated is counted, listed
and left out. No public weights are needed and no other dataset: stage 1 learns to classify the
annotated segments themselves. Then come the joint training at low temporal resolution (T-LoFi), and
a fresh head on either encoder's features: the rows acp and lofi.

With 40 training and 16 test videos of 20 s, all of it takes 9 minutes on 2 CPU cores. Where classes
are as easy to tell from the background as in `python tests/spliced.py OUT_DIR`, both rows reach
about 80% average mAP, so that there is little left for lofi to win.
"""

from lofi_jax.config import defaults, named, optimizer


def get_config():
    c = defaults()
    c.dataset = "video_folder"
    c.data.snippets = 64
    c.data.frames = 4
    c.data.stride = 0
    c.data.height = 64
    c.data.width = 64
    c.data.short_side = 72

    c.encoder = named("tsm_resnet", stage_sizes=(1, 1, 1), widths=(32, 64, 128), stem="small")
    c.head = named("gtad", channels=64, widths=(64, 64, 64, 64), bins=(8, 2), groups=8)

    c.pretrain.epochs = 50.0
    c.pretrain.batch_size = 16
    c.pretrain.optimizer = optimizer(learning_rate=3e-3, warmup_epochs=1.0)

    c.joint.fidelity = "temporal"
    c.joint.epochs = 15.0
    c.joint.batch_size = 4
    c.joint.chunk = 0
    c.joint.optimizer = optimizer(learning_rate=3e-3, warmup_epochs=1.0, clip_norm=5.0)

    c.extract.batch_size = 2
    c.extract.chunk = 0

    c.head_training.epochs = 40.0
    c.head_training.batch_size = 8
    c.head_training.optimizer = optimizer(name="adam", learning_rate=2e-3)

    c.classifier.epochs = 40.0
    c.classifier.batch_size = 8
    c.classifier.hidden = 64
    return c
