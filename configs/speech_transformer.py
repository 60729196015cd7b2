"""Visible speech with a thin video transformer: GRID as in configs/speech.py, AdaTAD's adapters.

    python -m lofi_jax.main --config=configs/speech_transformer.py:part=words --workdir=runs/words \
        --config.data.video_dir=VIDEOS --config.data.annotations=annotations.json
    python -m lofi_jax.main --config=configs/speech_transformer.py --workdir=runs/speech_vit \
        --config.data.video_dir=VIDEOS --config.data.annotations=annotations.json \
        --config.encoder_checkpoint=runs/words/encoders/acp

VIDEOS and annotations.json are those of configs/speech.py. The first command is stage 1 alone: the
ViT learns to classify words from clips of 8 frames. The second one sees a video as one window of 72
frames, 2 a snippet, in the same clips; adapters in the frozen ViT learn together with G-TAD. Low
fidelities are whole clips of whole patches: 16 x 16 pixels for S-LoFi, 12 snippets for T-LoFi, and
12 of 24 x 24 for ST-LoFi.

Expect 22 class-aware average mAP (0.3:0.1:0.7) of the frozen ViT and of low fidelities, 23 with
adapters trained at full fidelity (three seeds). Stage 1 took 14 to 24 minutes, the rest 23 to 44,
on one core of a VM, beside other work; configs/README.md has the figures.
"""

from lofi_jax.config import load, named, optimizer
from lofi_jax.config.arguments import parse

STEP = dict(name="adamw", learning_rate=1e-3, weight_decay=0.05, warmup_epochs=1.0, clip_norm=1.0)


def get_config(text=None):
    words = parse(text, {"part": "all"})["part"] == "words"
    c = load("speech")
    c.rows = "acp,lofi:full,lofi:spatial,lofi:temporal,lofi:spatiotemporal"
    c.data.stride = 0
    c.data.snippets, c.data.frames = (9, 8) if words else (36, 2)
    c.encoder = named(
        "videomae",
        width=64,
        depth=4,
        heads=4,
        clip=8,
        patch=8,
        image=40,
        adapter="tia",
        backbone="frozen",
    )
    if words:
        c.stages = "data,pretrain"
        c.rows = "acp"
        c.source.sampling = "dense"
        c.source.stride = 1
    c.pretrain.epochs = 40.0
    c.pretrain.optimizer = optimizer(**STEP, schedule="cosine", cosine_epochs=40.0)
    c.joint.factors.multiple = 8
    c.joint.factors.temporal = c.joint.factors.both_temporal = 3
    c.joint.factors.both_spatial = 1.6
    c.joint.optimizer = optimizer(**STEP)
    return c
