"""The paper's settings, from the arguments after a config file's colon."""

from ml_collections import ConfigDict

from lofi_jax.comma_separated import names
from lofi_jax.config.typed import defaults, named
from lofi_jax.errors import UserError


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
    given = dict(part.partition("=")[::2] for part in names(arguments or ""))
    if unknown := sorted(given.keys() - known.keys()):
        raise UserError(f"--config: unknown argument {unknown[0]!r}: it takes {', '.join(known)}")
    chosen = known | given
    c = defaults()
    c.rows = chosen["start"].replace("&", ",")
    c.joint.fidelity = chosen["fidelity"]
    c.encoder, c.head = named(chosen["encoder"]), named(chosen["head"])
    if "speednet" in c.rows:
        c.data.stride, c.source.snippets = 0, 2  # it halves the speed of equally spaced frames
    if chosen["encoder"].startswith("r2plus1d"):
        c.data.height = c.data.width = 112
        c.data.short_side = 128
    return c
