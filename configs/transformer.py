"""LoFi on a video transformer: a thin ViT with AdaTAD's adapters, on the built-in world.

    python -m lofi_jax.study --config=configs/transformer.py --workdir=runs/transformer

The settings are those of configs/study.py but for the encoder. Stage 1 trains the ViT alone to
classify clips; joint training leaves it frozen and trains adapters in its blocks, with the head, at
full fidelity and at each low one. Low images are whole patches of 8 pixels: 16 x 16 for S-LoFi, 24
x 24 for ST-LoFi.

Expect adapters at full fidelity to lead the frozen encoder by some 18 points of average mAP, and
low fidelities to bring two thirds to nine tenths of that, in a quarter of an hour a seed on two
cores.
"""

from lofi_jax.config import load, named, optimizer

STEP = dict(name="adamw", learning_rate=1e-3, weight_decay=0.05, warmup_epochs=1.0, clip_norm=1.0)


def get_config():
    c = load("synthetic")
    low = ("spatial", "temporal", "spatiotemporal", "short_cycle", "long_cycle")
    c.rows = ",".join(("acp", "lofi:full", *(f"lofi:{fidelity}" for fidelity in low)))
    c.encoder = named(
        "videomae",
        width=64,
        depth=4,
        heads=4,
        clip=4,
        patch=8,
        image=32,
        adapter="tia",
        backbone="frozen",
    )
    c.pretrain.epochs = 20.0
    c.pretrain.optimizer = optimizer(**STEP, schedule="cosine", cosine_epochs=20.0)
    c.joint.factors.multiple = 8
    c.joint.factors.both_spatial = 4 / 3
    c.joint.epochs = 15.0
    c.joint.optimizer = optimizer(**STEP)
    return c
