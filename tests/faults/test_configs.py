"""A number, text or pair in a config that makes no sense is one line before any work."""

import math

import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from lofi_jax.config import validate
from lofi_jax.config.settings import Config
from lofi_jax.config.typed import from_plain, to_plain
from lofi_jax.errors import UserError
from lofi_jax.run import networks

_PLAIN = to_plain(Config(dataset="synthetic"))
_LEAVES = flatten_dict(_PLAIN, sep=".")
_NUMBERS = [k for k, v in _LEAVES.items() if isinstance(v, int | float) and not isinstance(v, bool)]

# Besides nan and both infinities, which no number may be.
_BAD_NUMBERS = (-2, -0.5, 1e300, 10**400, True, "1", None, [1], {"a": 1})
_BAD_VALUES = (7, None, [1], {"a": 1}, "a\0b", "a\nb")


def refused(key: str, value: object) -> bool:
    """Whether a config with one other value is refused in one line."""
    changed = unflatten_dict(_LEAVES | {key: value}, sep=".")
    try:
        validate(from_plain(changed))
    except UserError as error:
        assert len(str(error)) <= 300 and "\n" not in str(error)
        return True
    return False


@pytest.mark.parametrize("key", _NUMBERS)
def test_no_number_is_out_of_its_range(key):
    values = [math.nan, math.inf, -math.inf, *_BAD_NUMBERS]
    assert [value for value in values if not refused(key, value)] == []
    if isinstance(_LEAVES[key], int):
        assert refused(key, 1.5)


@pytest.mark.parametrize("key", sorted(_LEAVES.keys() - set(_NUMBERS)))
def test_no_other_value_is_of_another_type(key):
    if "." in key or not isinstance(_LEAVES[key], dict):
        values = [
            v for v in _BAD_VALUES if type(v) is not type(_LEAVES[key]) or v in ("a\0b", "a\nb")
        ]
        assert [value for value in values if not refused(key, value)] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("data.crop_area", area) for area in ((1.0, 0.7), (0.7, 1.1), (0.0, 1.0), (0.7,))),
        *(("data.crop_area", area) for area in ((math.nan, 1.0), "0.7", ("a", "b"))),
        *(("mesh.data", number) for number in (0, -2)),
        *(("log.every", number) for number in (0,)),
        *(("joint.factors.temporal", number) for number in (0, 3, 101)),
        *((f"{part}.epochs", 0.0) for part in ("pretrain", "joint", "classifier")),
        ("seed", 2**32),
    ],
)
def test_pairs_and_ends_of_ranges(key, value):
    assert refused(key, value)


@pytest.mark.parametrize(
    ("part", "options", "says"),
    [
        ("encoder", {"widths": ()}, "config.encoder: tsm_resnet18"),
        ("encoder", {"widths": (0, 8, 8, 8)}, "config.encoder: tsm_resnet18"),
        ("encoder", {"widths": ("a",)}, "config.encoder: tsm_resnet18"),
        ("encoder", {"stage_sizes": 3}, "config.encoder: tsm_resnet18"),
        ("encoder", {"shift_div": 0}, "config.encoder: tsm_resnet18"),
        ("encoder", {"shift_div": -8}, "config.encoder: tsm_resnet18"),
        ("encoder", {"stem": "huge"}, "an encoder's stem is imagenet or small, not 'huge'"),
        ("encoder", {"depth": 3}, "config.encoder: tsm_resnet18"),
        ("head", {"channels": 0}, "config.head: gtad"),
        ("head", {"channels": -4}, "config.head: gtad"),
        ("head", {"groups": 0}, "config.head: gtad"),
        ("head", {"groups": 0.5}, "config.head: gtad"),
        ("head", {"widths": ()}, "config.head: gtad"),
        ("head", {"bins": (0, 0)}, "config.head: gtad"),
        ("head", {"neighbours": 10**6}, "config.head: gtad"),
    ],
)
def test_options_that_a_network_cannot_have(part, options, says):
    tiny = {
        "encoder": {"name": "tsm_resnet18", "stage_sizes": (1,), "widths": (8,), "stem": "small"},
        "data": _PLAIN["data"] | {"frames": 2, "height": 16, "width": 16, "snippets": 16},
        "rows": "acp",
    }
    plain = _PLAIN | tiny
    config = from_plain(plain | {part: plain[part] | options})
    with pytest.raises(UserError) as caught:
        validate(config)
        networks.check(config)
    assert says in str(caught.value) and len(str(caught.value)) <= 300
    assert "\n" not in str(caught.value)
