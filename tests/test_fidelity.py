"""Low fidelities and their cycles, against the paper's table (section 4.1)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_jax.errors import UserError
from lofi_jax.fidelity import Factors, Fidelity, reduce, schedule, snippet_indices

FULL = Fidelity(100, 224, 224)
PAPER = {
    "full": Fidelity(100, 224, 224),
    "spatial": Fidelity(100, 112, 112),
    "temporal": Fidelity(25, 224, 224),
    "spatiotemporal": Fidelity(50, 158, 158),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_fidelities(name):
    at = schedule(name, FULL, Factors(), steps_per_epoch=7)
    assert {at(step) for step in range(50)} == {PAPER[name]}


@pytest.mark.parametrize(("name", "period"), [("short_cycle", 16), ("long_cycle", 30)])
def test_a_cycle_gives_each_low_fidelity_its_turn(name, period):
    at = schedule(name, FULL, Factors(), steps_per_epoch=30)
    order = [PAPER["spatial"], PAPER["temporal"], PAPER["spatiotemporal"]]
    assert [at(step) for step in range(0, 6 * period, period)] == order * 2
    assert [at(step) for step in range(period - 1, 3 * period, period)] == order


def test_the_low_fidelities_cost_about_the_same():
    costs = [f.snippets * f.height * f.width for name, f in PAPER.items() if name != "full"]
    assert max(costs) / min(costs) < 1.01


def test_a_factor_that_does_not_divide_is_refused_by_key():
    with pytest.raises(UserError, match="3 does not divide the 100 snippets.*config"):
        reduce(FULL, temporal=3)
    with pytest.raises(UserError, match="leaves nothing of 224 x 224"):
        reduce(FULL, spatial=500)
    with pytest.raises(UserError, match="unknown fidelity 'low'.*spatiotemporal"):
        schedule("low", FULL, Factors(), 1)


@given(st.integers(1, 50), st.integers(1, 8))
def test_snippets_are_read_from_the_middle_of_their_spans(wanted, factor):
    chosen = snippet_indices(wanted * factor, wanted)
    spans = np.arange(wanted) * factor
    assert np.all((chosen >= spans) & (chosen < spans + factor))
    centres = (chosen + 0.5) / (wanted * factor)
    ideal = (np.arange(wanted) + 0.5) / wanted
    assert np.abs(centres - ideal).max() <= 0.5 / (wanted * factor) + 1e-12
