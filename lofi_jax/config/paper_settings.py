"""The paper's settings, from the arguments after a config file's colon."""

from ml_collections import ConfigDict

from lofi_jax.config.arguments import parse
from lofi_jax.config.typed import defaults, named


def paper(arguments: str | None) -> ConfigDict:
    """The paper's settings for one encoder, head and fidelity.

    Args:
        arguments: the text after the colon of --config=F:key=value,key=value; the keys are start
            (rows joined by "&"), fidelity, encoder and head.

    Raises:
        UserError: an unknown key.
    """
    known = {
        "start": "acp&lofi",
        "fidelity": "long_cycle",
        "encoder": "tsm_resnet18",
        "head": "gtad",
    }
    chosen = parse(arguments, known)
    changes: dict[str, str | int] = {
        "rows": chosen["start"].replace("&", ","),
        "joint.fidelity": chosen["fidelity"],
    }
    if "speednet" in chosen["start"]:  # it halves the speed of equally spaced frames
        changes |= {"data.stride": 0, "source.snippets": 2}
    if chosen["encoder"].startswith("r2plus1d"):
        changes |= {"data.height": 112, "data.width": 112, "data.short_side": 128}
    c = defaults()
    c.update_from_flattened_dict(changes)
    c.encoder, c.head = named(chosen["encoder"]), named(chosen["head"])
    return c
