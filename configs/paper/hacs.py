"""HACS Segments 1.1.1, as the paper trains it (section 4).

    python -m lofi_jax.main --workdir=runs/hacs \
        --config=configs/paper/hacs.py:encoder=tsm_resnet18,fidelity=long_cycle \
        --config.data.video_dir=VIDEOS --config.data.annotations=HACS_segments_v1.1.1.json \
        --config.encoder_checkpoint=KINETICS --config.classifier.file=hacs_scores.json

KINETICS is what `python -m lofi_jax.convert` makes of a public checkpoint trained on Kinetics-400
(ACP); the class scores are the usual external ones. Arguments, with their defaults:

    start=acp&lofi, the rows, joined by "&": icp, acp, acp_plus, arrow_of_time, speednet,
        acp+speednet, lofi
    fidelity=long_cycle, or full, spatial, temporal, spatiotemporal, short_cycle
    encoder=tsm_resnet18, or tsm_resnet34, tsm_resnet50, r2plus1d_18, r2plus1d_34
    head=gtad, or bmn, actionformer, tridet

What the paper reports, average mAP over tIoU 0.5:0.05:0.95 on the validation subset:

    tsm_resnet18: icp 20.18, acp 23.00, acp_plus 23.31; lofi spatial 24.25, temporal 24.36,
                  spatiotemporal 24.36, short_cycle 24.60, long_cycle 24.64
"""

from lofi_jax.config import paper


def get_config(text=None):
    c = paper(text)
    c.dataset = "hacs"
    c.data.test_subset = "validation"
    return c
