"""The rows of the table: an encoder, named after how it was trained, and a head on its features.

A row is written start[:fidelity][/head], such as "acp", "lofi", "lofi:spatial" or
"lofi:temporal/bmn". A start is one of `STARTS`, or several joined by "+", whose features are
concatenated.
"""

import dataclasses

from lofi_jax import fidelity
from lofi_jax.comma_separated import names
from lofi_jax.errors import UserError

# ICP: the initial encoder (from ImageNet weights, say). ACP: trained to classify clips. ACP+: then
# fine-tuned to classify the target's own segments. Two self-supervised starts. LoFi. External:
# features made elsewhere.
STARTS = ("icp", "acp", "acp_plus", "arrow_of_time", "speednet", "lofi", "external")
NO_FIDELITY = "none"


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        start: how the encoder was trained.
        fidelity: at which it was trained jointly; "none" unless the start is "lofi".
        head: the name of the head in stage 3, and in stage 2 for "lofi".
    """

    start: str
    fidelity: str
    head: str

    @property
    def encoder(self) -> str:
        """The name of the encoder, which rows may share."""
        return f"lofi_{self.fidelity}_{_plain(self.head)}" if self.start == "lofi" else self.start

    @property
    def name(self) -> str:
        """The name of the row, for files."""
        return f"{self.encoder}_{_plain(self.head)}" if self.start != "lofi" else self.encoder


def _plain(head: str) -> str:
    """A head's name as part of a file name; a third party's is package.module:Class."""
    return head.replace(":", ".")


def parse(text: str, default_fidelity: str, default_head: str, heads: tuple[str, ...]) -> list[Row]:
    """The rows of a comma-separated list.

    Raises:
        UserError: an unknown start, fidelity or head, or the same row twice.
    """
    rows = []
    for entry in names(text):
        rest, _, head = entry.partition("/")
        start, _, low = rest.partition(":")
        for part in start.split("+"):
            _check("start", part, STARTS, entry)
        if start != "lofi" and (low or "lofi" in start):
            raise UserError(f"config.rows: {entry!r}: only lofi alone has a fidelity")
        if ":" not in (head or default_head):
            _check("head", head or default_head, heads, entry)
        _check("fidelity", low or default_fidelity, fidelity.NAMES, entry)
        low = (low or default_fidelity) if start == "lofi" else NO_FIDELITY
        rows.append(Row(start, low, head or default_head))
    if not rows or len(set(rows)) < len(rows):
        raise UserError(f"config.rows is {text!r}: name at least one row, and none twice")
    return rows


def _check(what: str, value: str, known: tuple[str, ...], entry: str) -> None:
    if value not in known:
        raise UserError(
            f"config.rows: {entry!r}: unknown {what} {value!r}: choose one of {', '.join(known)}"
        )
