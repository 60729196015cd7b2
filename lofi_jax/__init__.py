"""LoFi: low-fidelity video encoder optimization for temporal action localization (arXiv 2103.15233)."""

from lofi_jax.devices import at_hand

at_hand.keep_absent_ones_quiet()
