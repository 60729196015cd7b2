import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.devices import shared_programs
from lofi_jax.devices.shared_programs import initial, shared


@pytest.fixture
def compiled(monkeypatch) -> list:
    """Nothing is compiled yet; and the programs compiled since."""
    monkeypatch.setattr(shared_programs, "_compiled", type(shared_programs._compiled)())
    kept, seen = jax.stages.Lowered.compile, []

    def compile(lowered, *args, **options):
        seen.append(lowered)
        return kept(lowered, *args, **options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile)
    return seen


def plus(constant):
    return shared(jax.jit(lambda tree, x: {"sum": tree["w"] * x + constant}))


def test_equal_programs_of_other_functions_are_compiled_once(compiled):
    tree = {"w": jnp.arange(3.0)}
    for add in plus(1.0), plus(1.0):
        np.testing.assert_array_equal(add(tree, np.float32(2))["sum"], [1, 3, 5])
        np.testing.assert_array_equal(add(tree, np.float32(3))["sum"], [1, 4, 7])
    assert len(compiled) == 1


def test_a_constant_deep_in_a_large_array_makes_another_program(compiled):
    large = np.zeros(5000, np.float32)
    other = large.copy()
    other[2500] = 1
    found = [shared(jax.jit(lambda x, c=c: x + c))(np.float32(0)) for c in (large, other)]
    assert [float(x.sum()) for x in found] == [0, 1]
    assert len(compiled) == 2


def test_shapes_types_structures_and_devices_make_other_programs(compiled):
    double = shared(jax.jit(lambda tree: jax.tree.map(lambda x: 2 * x, tree)))
    there = jax.device_put(np.float32(1), jax.devices()[-1])
    given = [np.float32(1), np.ones(2, np.float32), np.int32(1), {"a": np.float32(1)}, 1.0, there]
    for tree in given:
        assert jax.tree.structure(double(tree)) == jax.tree.structure(tree)
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, double(tree), double(tree))))
    assert len(compiled) == len(given)
    assert double(there).devices() == {jax.devices()[-1]}


def test_names_of_what_is_returned_are_not_mixed_up(compiled):
    one, other = (shared(jax.jit(lambda x, k=k: {k: x + 1})) for k in "ab")
    assert one(np.float32(1)) == {"a": 2} and other(np.float32(1)) == {"b": 2}


def test_donated_arrays_are_donated(compiled):
    add = shared(jax.jit(lambda x: x + 1, donate_argnums=0))
    x = add(jnp.zeros(3))
    add(x)
    assert x.is_deleted()


def test_only_the_last_are_kept(compiled, monkeypatch):
    monkeypatch.setattr(shared_programs, "_MOST", 2)
    for constant in (1.0, 2.0, 1.0, 3.0, 1.0, 2.0):
        plus(constant)({"w": jnp.ones(1)}, np.float32(1))
    assert len(compiled) == 4  # 2.0 twice: it made room for 3.0


def test_a_part_of_a_larger_program_is_compiled_with_it(compiled):
    add = plus(1.0)
    found = jax.jit(lambda x: add({"w": x}, x)["sum"])(jnp.arange(3.0))
    np.testing.assert_array_equal(found, [1, 2, 5])
    assert jax.eval_shape(add, {"w": jnp.ones(3)}, 1.0)["sum"].shape == (3,)


def test_networks_start_as_all_optimizations_would_have_them(compiled):
    network = nn.Sequential([nn.Conv(16, (3,)), nn.LayerNorm(), nn.Dense(4)])
    given = jax.random.key(3), jnp.zeros((1, 8, 32))
    made, again = initial(network.init, *given), initial(network.init, *given)
    assert len(compiled) == 1
    usual = {"xla_backend_optimization_level": 3}  # the tests' own is 0
    wanted = jax.jit(network.init).lower(*given).compile(compiler_options=usual)(*given)
    for tree in made, again:
        assert jax.tree.all(jax.tree.map(np.array_equal, tree, wanted))
