"""ActivityNet-1.3, as the paper trains it (section 4): every row of its tables 1 to 4.

    python -m lofi_jax.main --workdir=runs/activitynet \
        --config=configs/paper/activitynet.py:encoder=tsm_resnet18,fidelity=long_cycle \
        --config.data.video_dir=VIDEOS --config.data.annotations=activity_net.v1-3.min.json \
        --config.encoder_checkpoint=KINETICS --config.classifier.file=cuhk_val.json

KINETICS is what `python -m lofi_jax.convert` makes of a public checkpoint trained on Kinetics-400
(ACP); the class scores are the usual external ones. Arguments, with their defaults:

    start=acp&lofi, the rows, joined by "&": icp, acp, acp_plus, arrow_of_time, speednet,
        acp+speednet, lofi
    fidelity=long_cycle, or full, spatial, temporal, spatiotemporal, short_cycle
    encoder=tsm_resnet18, or tsm_resnet34, tsm_resnet50, r2plus1d_18, r2plus1d_34
    head=gtad, or bmn, actionformer, tridet

What the paper reports, average mAP over tIoU 0.5:0.05:0.95 on the validation subset:

    tsm_resnet18: icp 32.16, acp 33.59, acp_plus 33.84; lofi spatial 34.12, temporal 34.32,
                  spatiotemporal 34.12, short_cycle 34.38, long_cycle 34.49;
                  arrow_of_time 28.82, speednet 29.39, acp+arrow_of_time 33.72, acp+speednet 33.75
    tsm_resnet34: acp 33.90, lofi long_cycle 34.74
    tsm_resnet50: acp 34.26, lofi long_cycle 34.96
    r2plus1d_18:  acp 33.55, lofi temporal 34.21
"""

from lofi_jax.config import paper


def get_config(text=None):
    c = paper(text)
    c.dataset = "activitynet"
    c.data.test_subset = "validation"
    return c
