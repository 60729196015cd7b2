"""The encoders and the heads, by name.

An encoder maps snippets (N, T, H, W, 3) to features (N, C); a head maps features (B, L, C) to raw outputs and offers
`loss(outputs, batch, key)` and `proposals(outputs)`. A new one is a file of its own and a line here.
"""

import functools
import types

from lofi_jax.models import gtad
from lofi_jax.models.tsm import TSM

ENCODERS = {
    "tsm_resnet": TSM,
    "tsm_resnet18": functools.partial(TSM, stage_sizes=(2, 2, 2, 2)),
}

HEADS = {
    "gtad": types.SimpleNamespace(Head=gtad.GTAD, loss=gtad.loss, proposals=gtad.proposals),
}
