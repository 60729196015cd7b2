"""How rows of the table are named."""

import pytest

from lofi_jax.config.rows import Row, parse
from lofi_jax.errors import UserError

HEADS = ("gtad", "bmn")


def test_rows_name_start_fidelity_and_head():
    rows = parse("acp, lofi, lofi:spatial/bmn, acp+speednet", "long_cycle", "gtad", HEADS)
    assert rows == [
        Row("acp", "none", "gtad"),
        Row("lofi", "long_cycle", "gtad"),
        Row("lofi", "spatial", "bmn"),
        Row("acp+speednet", "none", "gtad"),
    ]
    assert [row.encoder for row in rows] == [
        "acp",
        "lofi_long_cycle_gtad",
        "lofi_spatial_bmn",
        "acp+speednet",
    ]
    assert len({row.name for row in rows}) == 4


def test_rows_share_an_encoder_that_no_head_has_changed():
    one, other = parse("acp/gtad,acp/bmn", "full", "gtad", HEADS)
    assert one.encoder == other.encoder and one.name != other.name
    one, other = parse("lofi/gtad,lofi/bmn", "full", "gtad", HEADS)
    assert one.encoder != other.encoder


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least one"),
        ("lofi,lofi:full", "none twice"),
        ("acp+lofi", "only lofi alone"),
        ("acp+nothing", "unknown start 'nothing'"),
    ],
)
def test_what_makes_no_table_is_refused(text, says):
    with pytest.raises(UserError, match=says):
        parse(text, "full", "gtad", HEADS)
