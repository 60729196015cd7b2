"""AdaTAD on HACS Segments 1.1.1: a video transformer with temporal adapters, trained end to end.

    python -m lofi_jax.main --workdir=runs/adatad_hacs \
        --config=configs/adatad/hacs.py:encoder=videomae_base,fidelity=full \
        --config.data.video_dir=VIDEOS --config.data.annotations=HACS_segments_v1.1.1.json \
        --config.encoder_checkpoint=KINETICS --config.classifier.file=hacs_scores.json

KINETICS is what `python -m lofi_jax.convert` makes of a public checkpoint trained on Kinetics-400;
the class scores are the usual external ones, of which the best two label each proposal.
Arguments, with their defaults:

    encoder=videomae_base, or videomae_small, videomae_large, videomae_huge, videomae_giant
        or videoprism_base, videoprism_large, vjepa2_large (--config.encoder.version=2.1)
    adapter=tia (in the frozen backbone's blocks), or side (beside them: no gradient in the
        backbone), or none (the whole backbone trains)
    fidelity=full, or LoFi's spatial, temporal, spatiotemporal, short_cycle, long_cycle
    head=actionformer_agnostic, or tridet_agnostic, gtad, bmn, ...

The rows are acp, the frozen backbone's features, and lofi. AdaTAD has no settings for HACS:
these are its settings for ActivityNet, whose videos are as long; see configs/adatad/activitynet.py.
No result is known, of theirs or of this config. Heads on features of frozen encoders reach an
average mAP of 37.71 (ActionFormer) and 38.47 (TriDet) over tIoU 0.5:0.05:0.95 on the validation
subset. Memory: as for ActivityNet.
"""

from lofi_jax.config import adatad, named, optimizer


def get_config(text=None):
    c = adatad(text, head="actionformer_agnostic")
    c.dataset = "hacs"
    c.data.test_subset = "validation"
    c.data.snippets = 192
    c.data.frames = 4
    if c.head.name == "actionformer_agnostic":
        c.head = named(
            "actionformer_agnostic",
            channels=256,
            window=0,
            positions=192,
            label_smoothing=0.1,
            regression_weight=2.0,
            shortest=0.001,
        )
    step = {
        "weight_decay": 0.05,
        "decay_vectors": False,
        "warmup_epochs": 5.0,
        "clip_norm": 1.0,
    }
    c.joint.optimizer = optimizer(learning_rate=1e-3, **step)
    c.joint.encoder_scale = 0.1
    c.joint.batch_size = 16
    c.joint.ema = c.head_training.ema = 0.999
    c.joint.epochs = 15.0
    c.head_training.optimizer = optimizer(learning_rate=1e-3, **step)
    c.head_training.batch_size = 16
    c.head_training.epochs = 15.0
    c.detect.nms = "gaussian"
    c.detect.nms_sigma = 0.7
    c.detect.min_score = 0.001
    c.detect.vote = 0.9
    c.detect.top_k = 100
    return c
