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

from lofi_jax.config import load


def get_config(text=None):
    c = load(f"adatad/activitynet:{text or ''}")
    c.dataset = "hacs"
    return c
