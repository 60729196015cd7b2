"""AdaTAD on THUMOS14: a video transformer with temporal adapters, trained end to end.

    python -m lofi_jax.main --workdir=runs/adatad_thumos14 \
        --config=configs/adatad/thumos14.py:encoder=videomae_base,fidelity=full \
        --config.data.video_dir=VIDEOS --config.data.annotations=thumos14.json \
        --config.encoder_checkpoint=KINETICS

KINETICS is what `python -m lofi_jax.convert` makes of a public checkpoint trained on Kinetics-400.
Arguments, with their defaults:

    encoder=videomae_base, or videomae_small, videomae_large, videomae_huge, videomae_giant
        or videoprism_base, videoprism_large, vjepa2_large (--config.encoder.version=2.1)
    adapter=tia (in the frozen backbone's blocks), or side (beside them: no gradient in the
        backbone), or none (the whole backbone trains)
        (--config.encoder.adapted=20: in the last 20 blocks only, as AdaTAD's best giant has)
    fidelity=full, or LoFi's spatial, temporal, spatiotemporal, short_cycle, long_cycle
    head=actionformer, or tridet, gtad, bmn, ... (the last two need --config.classifier.file)

The rows are acp, the frozen backbone's features, and lofi. A window is 768 frames of 160 x 160
pixels, every fourth of 30 a second, and shares half with the next; attention stays within clips of
16 frames (arXiv 2311.17241 and its public configs). Other than there, a fresh head is trained on
the features of the trained encoder, a video is encoded in pieces that do not overlap, and the giant
sees 154 pixels, the 11 whole patches of 160.

What AdaTAD reports, average mAP over tIoU 0.3:0.1:0.7: videomae_small 69.03, base 71.14,
large 73.51, huge 74.95, giant 75.06. No result of this config is known yet. Memory of a step with
one window at full fidelity, by the H100's compiler: see lofi_jax/models/README.md.
"""

from lofi_jax.config import adatad, named


def get_config(text=None):
    c = adatad(text, head="actionformer")
    c.dataset = "thumos14"
    c.data.train_subset = "train"
    c.data.test_subset = "test"
    c.data.snippets_per_second = 7.5
    c.data.frames = 1
    c.data.window = 768
    c.data.window_overlap = 0.5
    if c.head.name == "actionformer":
        c.head = named("actionformer", window=0)
    c.joint.encoder_scale = 2.0 if c.encoder.name == "videomae_small" else 1.0
    for stage in (c.joint, c.head_training):
        stage.optimizer.learning_rate = 1e-4
        stage.optimizer.cosine_epochs = 100.0
        stage.batch_size = 2
        stage.epochs = 60.0
    c.detect.vote = 0.7
    c.detect.top_k = 2000
    return c
