"""AdaTAD's settings (arXiv 2311.17241), from the arguments after a config file's colon."""

from ml_collections import ConfigDict

from lofi_jax.config.arguments import parse
from lofi_jax.config.typed import defaults, named, optimizer

# The sides of the encoders' patches in pixels; the others have 16.
_PATCHES = {"videomae_giant": 14, "videoprism_base": 18, "videoprism_large": 18}


def adatad(arguments: str | None, head: str) -> ConfigDict:
    """What AdaTAD's experiments share: a frozen video transformer with adapters, 160 x 160 pixels,
    half precision, AdamW and a running mean of the parameters, suppression that votes.

    The learning rates and the length of the training are each experiment's own.

    Args:
        arguments: the text after the colon of --config=F:key=value,key=value; the keys are encoder,
            adapter (tia, side, or none, which trains the whole backbone), fidelity and head.
        head: the default one.

    Raises:
        UserError: an unknown key.
    """
    known = {"encoder": "videomae_base", "adapter": "tia", "fidelity": "full", "head": head}
    chosen = parse(arguments, known)
    patch = _PATCHES.get(chosen["encoder"], 16)
    backbone = "trained" if chosen["adapter"] == "none" else "frozen"
    size = 160 // patch * patch
    changes = {
        "joint.fidelity": chosen["fidelity"],
        "joint.factors.multiple": patch,
        "dtype": "bfloat16",
        "data.stride": 0,
        "data.height": size,
        "data.width": size,
        "data.short_side": 182,
        "data.crop_area": (0.08, 1.0),
        "joint.chunk": 4,
        "extract.chunk": 4,
        "joint.ema": 0.999,
        "head_training.ema": 0.999,
        "detect.nms": "gaussian",
        "detect.nms_sigma": 0.7,
        "detect.min_score": 0.001,
    }
    c = defaults()
    c.update_from_flattened_dict(changes)
    step = {"weight_decay": 0.05, "decay_vectors": False, "warmup_epochs": 5.0, "clip_norm": 1.0}
    c.update({stage: {"optimizer": optimizer(**step)} for stage in ("joint", "head_training")})
    # Defaults, so that the command line can change them; see `models.VJEPA` for the version.
    version = {"version": "2"} if chosen["encoder"] == "vjepa2_large" else {}
    adapters = {"adapter": chosen["adapter"], "adapted": 0, "adapter_ratio": 4}
    how = adapters | {"backbone": backbone, "drop_path": 0.1}
    c.encoder = named(chosen["encoder"], **how, **version)
    c.head = named(chosen["head"])
    return c
