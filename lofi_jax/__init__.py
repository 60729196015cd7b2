"""LoFi: low-fidelity video encoder optimization for temporal action localization (arXiv 2103.15233)."""
