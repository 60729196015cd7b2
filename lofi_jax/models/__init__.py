"""The encoders and the heads, by name.

An encoder maps snippets (N, T, H, W, 3) to features (N, C), or whole windows (B, F, H, W, 3) to
features (B, n, C). It is made with the dtype that it computes in and with `remat`: whether to keep
only its blocks' inputs for the backward pass. A head
maps features (B, L, C) to raw outputs, offers `loss(outputs, batch, key)` and `proposals(outputs)`,
has its authors' `suppression`, and says whether it `classifies`: then it is made with the number of
classes, and its proposals have labels. A new one is a file and a line here.
"""

import functools

from lofi_jax.models.encoders.i3d import I3D
from lofi_jax.models.encoders.r2plus1d import R2Plus1D
from lofi_jax.models.encoders.resnet import Bottleneck
from lofi_jax.models.encoders.tsm import TSM
from lofi_jax.models.encoders.videomae import VideoMAE
from lofi_jax.models.encoders.videoprism import VideoPrism
from lofi_jax.models.encoders.vjepa import VJEPA
from lofi_jax.models.heads.actionformer import ActionFormer, ActionFormerAgnostic
from lofi_jax.models.heads.bmn import BMN
from lofi_jax.models.heads.gtad import GTAD
from lofi_jax.models.heads.tridet import TriDet, TriDetAgnostic

ENCODERS = {
    "tsm_resnet": TSM,
    "tsm_resnet18": functools.partial(TSM, stage_sizes=(2, 2, 2, 2)),
    "tsm_resnet34": functools.partial(TSM, stage_sizes=(3, 4, 6, 3)),
    "tsm_resnet50": functools.partial(TSM, stage_sizes=(3, 4, 6, 3), block=Bottleneck),
    "r2plus1d": R2Plus1D,
    "r2plus1d_18": functools.partial(R2Plus1D, stage_sizes=(2, 2, 2, 2)),
    "r2plus1d_34": functools.partial(R2Plus1D, stage_sizes=(3, 4, 6, 3), form="vmz"),
    "r2plus1d_34_mmaction2": functools.partial(
        R2Plus1D, stage_sizes=(3, 4, 6, 3), form="mmaction2"
    ),
    "i3d": functools.partial(I3D, end_point="Mixed_5c"),
    "videomae": VideoMAE,
    "videomae_small": functools.partial(VideoMAE, width=384, depth=12, heads=6),
    "videomae_base": functools.partial(VideoMAE, width=768, depth=12, heads=12),
    "videomae_large": functools.partial(VideoMAE, width=1024, depth=24, heads=16),
    "videomae_huge": functools.partial(VideoMAE, width=1280, depth=32, heads=16),
    "videomae_giant": functools.partial(
        VideoMAE, width=1408, depth=40, heads=16, hidden=6144, patch=14
    ),
    "videoprism": VideoPrism,
    "videoprism_base": functools.partial(VideoPrism, width=768, depths=(12, 4), heads=12),
    "videoprism_large": functools.partial(
        VideoPrism, width=1024, depths=(24, 4), heads=16, positions=(8, 16, 16), clip=8
    ),
    "vjepa": VJEPA,
    "vjepa2_large": functools.partial(VJEPA, width=1024, depth=24, heads=16),
}

HEADS = {
    "gtad": GTAD,
    "bmn": BMN,
    "actionformer": ActionFormer,
    "actionformer_agnostic": ActionFormerAgnostic,
    "tridet": TriDet,
    "tridet_agnostic": TriDetAgnostic,
}
