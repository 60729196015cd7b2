"""AdaTAD on ActivityNet-1.3: a video transformer with temporal adapters, trained end to end.

    python -m lofi_jax.main --workdir=runs/adatad_activitynet \
        --config=configs/adatad/activitynet.py:encoder=videomae_base,fidelity=full \
        --config.data.video_dir=VIDEOS --config.data.annotations=activity_net.v1-3.min.json \
        --config.encoder_checkpoint=KINETICS --config.classifier.file=cuhk_val.json

KINETICS is what `python -m lofi_jax.convert` makes of a public checkpoint trained on Kinetics-400;
the class scores are the usual external ones, of which the best two label each proposal.
Arguments, with their defaults:

    encoder=videomae_base, or videomae_small, videomae_large, videomae_huge, videomae_giant
        or videoprism_base, videoprism_large, vjepa2_large (--config.encoder.version=2.1)
    adapter=tia (in the frozen backbone's blocks), or side (beside them: no gradient in the
        backbone), or none (the whole backbone trains)
    fidelity=full, or LoFi's spatial, temporal, spatiotemporal, short_cycle, long_cycle
    head=actionformer_agnostic, or tridet_agnostic, gtad, bmn, ...

The rows are acp, the frozen backbone's features, and lofi. A whole video is 192 snippets of 4
frames of 160 x 160 pixels; attention stays within clips of 16 frames (arXiv 2311.17241 and its
public configs). Other than there, a fresh head is trained on the features of the trained encoder,
the head's loss is normalised by the batch's own positives, and the giant sees 154 pixels, the 11
whole patches of 160.

What AdaTAD reports, average mAP over tIoU 0.5:0.05:0.95 on the validation subset: videomae_small
37.81, base 38.35, large 39.21, huge 39.31, giant 39.77. No result of this config is known yet.
Memory of a step with one video at full fidelity, by the H100's compiler: see
lofi_jax/models/README.md.
"""

from lofi_jax.config import adatad, named


def get_config(text=None):
    c = adatad(text, head="actionformer_agnostic")
    c.dataset = "activitynet"
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
    c.joint.encoder_scale = 0.1
    for stage in (c.joint, c.head_training):
        stage.optimizer.learning_rate = 1e-3
        stage.batch_size = 16
        stage.epochs = 15.0
    c.detect.vote = 0.9
    c.detect.top_k = 100
    return c
