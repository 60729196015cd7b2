"""Every start, fidelity and head of the paper on the built-in world, over several seeds.

    python -m lofi_jax.study --config=configs/study.py --workdir=runs/study --seeds=0,1,2

The settings are those of configs/synthetic.py, but for 15 epochs of joint training (the paper's
number) in place of 25. Expect an hour a seed on two cores, and joint training ahead of acp and
acp_plus at every fidelity.
"""

from ml_collections import ConfigDict

from lofi_jax.config import load, optimizer

STARTS = ("acp", "icp", "acp_plus")
FIDELITIES = ("spatial", "temporal", "spatiotemporal", "short_cycle", "long_cycle", "full")
OTHER_HEADS = ("bmn", "actionformer")


def get_config():
    c = load("synthetic")
    joint = [f"lofi:{fidelity}" for fidelity in FIDELITIES]
    others = [f"{start}/{head}" for head in OTHER_HEADS for start in ("acp", "lofi:temporal")]
    c.rows = ",".join((*STARTS, *joint, *others))
    with c.unlocked():
        c.other_heads.bmn = ConfigDict(dict(channels=64, widths=(64, 32, 32, 32), bins=8))
        c.other_heads.actionformer = ConfigDict(dict(channels=64, window=9, levels=4))
    c.fine_tune.batch_size = 48
    c.fine_tune.optimizer = optimizer(learning_rate=1e-3, warmup_epochs=0.2)
    c.joint.epochs = 15.0
    return c
