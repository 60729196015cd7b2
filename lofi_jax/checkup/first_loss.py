"""The loss before the first step."""

import math
from collections.abc import Iterator

from lofi_jax.checkup.finding import Finding, Severity

# By head, on noise of 64 x 128 and 100 x 512 with 2 to 8 instances of all lengths a video: 2.2 to
# 3.7 (gtad), 2.1 to 2.8 (bmn) and 1.7 to 2.1 (actionformer), with room on both sides.
USUAL = {"gtad": (1.5, 5.0), "bmn": (1.5, 4.0), "actionformer": (1.0, 3.5)}


def check(name: str, loss: float, usual: tuple[float, float] | None) -> Iterator[Finding]:
    """Looks whether a fresh head's loss on these targets is as it usually is.

    Args:
        name: of the head.
        loss: of fresh parameters on noise.
        usual: the least and the most; None: not known.
    """
    if not math.isfinite(loss):
        yield Finding(
            Severity.STOP,
            f"{name}: the loss at step 0 is {loss}",
            "look at the annotated segments and the head's options; float32 instead of bfloat16",
        )
    elif usual and not usual[0] <= loss <= usual[1]:
        yield Finding(
            Severity.WARNING,
            f"{name}: the loss at step 0 is {loss:.3g}, and usually {usual[0]:g} to {usual[1]:g}",
            "look at the annotated segments: are there any, and do they last as they should?",
        )
