"""What a run compiles is small: programs as they are given to a compiler, without what can be
computed or passed in.
"""

import jax
import jax.numpy as jnp
import programs
import pytest

from lofi_jax import config as configs
from lofi_jax.config import named, typed
from lofi_jax.jobs.planning import planning
from lofi_jax.training.sharding import make_mesh

MB = 10**6
THUMOS = dict(max_duration=64, bins=(16, 16), map_kernel=3)
HEADS = {
    "gtad": (named("gtad"), 100),
    "gtad, THUMOS14": (named("gtad", **THUMOS), 256),
    "bmn": (named("bmn"), 100),
    "bmn, 256 snippets": (named("bmn"), 256),
    "actionformer": (named("actionformer"), 256),
}


OTHERS = [head for head in HEADS if head not in ("gtad", "bmn")]


def a_config(head="gtad", snippets=100, encoder=None):
    """The paper's settings with small images, and a small encoder where none is given: neither is
    in a constant.
    """
    c = configs.paper("")
    c.encoder = encoder or named("tsm_resnet", stage_sizes=(1,), widths=(8,), stem="small")
    c.head = head if not isinstance(head, str) else named(head)
    c.data.snippets, c.data.height, c.data.width = snippets, 32, 32
    c.joint.chunk = c.extract.chunk = planning.divisor(snippets, 5)
    return typed(c)


def lowered(config, program):
    return programs.lower(config, make_mesh(1, 1), program, planning.lofi_rows(config)[0])


def assert_small(program):
    assert all(size < MB for size in programs.constants(program).values())
    assert len(program.as_text()) < 20 * MB


@pytest.mark.parametrize(
    ("head", "program"),
    [
        *[("gtad", "joint"), ("gtad", "head"), ("bmn", "head"), ("bmn", "detection")],
        *[pytest.param(head, "head", marks=pytest.mark.slow) for head in OTHERS],
    ],
)
def test_programs_of_heads_hold_no_large_constant(head, program):
    assert_small(lowered(a_config(*HEADS[head]), program))


@pytest.mark.parametrize(
    "encoder", ["tsm_resnet18", pytest.param("r2plus1d_18", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("program", ["pretraining", "extraction"])
def test_programs_of_encoders_hold_no_large_constant(encoder, program):
    assert_small(lowered(a_config(encoder=named(encoder)), program))


def test_a_large_constant_is_seen():
    table = jnp.arange(300_000.0).reshape(3, -1)
    found = programs.constants(jax.jit(lambda x: x * table).lower(table))
    assert found == {"3x100000xf32": 1_200_000}
