"""Programs that are compiled no oftener, and no longer, than it takes.

Rows of a run differ in their parameters, seldom in their programs; and what runs once need not run
fast.
"""

import collections
from collections.abc import Callable, Hashable
from typing import Any

import jax
from jax.core import Tracer

_MOST = 16  # programs kept, of those used last; a row of a run needs some eight
_compiled: collections.OrderedDict[Hashable, jax.stages.Compiled] = collections.OrderedDict()


def shared(jitted: jax.stages.Wrapped, options: dict[str, Any] | None = None) -> Callable[..., Any]:
    """What `jax.jit` made, as a function of arrays that looks for an equal program before it
    compiles one: the same text and the same arrays on the same devices, of whatever function.
    Within a function that JAX traces, it is what it was.

    Args:
        options: of the compiler.
    """
    programs: dict[Hashable, jax.stages.Compiled] = {}

    def call(*arguments):
        if any(isinstance(x, Tracer) for x in jax.tree.leaves(arguments)):
            return jitted(*arguments)
        kind = _kind(arguments)
        if kind not in programs:
            programs[kind] = _program(jitted.lower(*arguments), kind, options)
        return programs[kind](*arguments)

    return call


def initial(init: Callable[..., Any], *arguments) -> Any:
    """What a network's `init` makes of its arguments, jitted.

    On a CPU half of LLVM's optimizations are left out: the random numbers of every parameter are a
    large kernel, which takes longer to optimize than to run, and is the same to the last bit.
    """
    quickly = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    return shared(jax.jit(init), quickly)(*arguments)


def _kind(arguments: tuple) -> Hashable:
    """What decides a program, beside the function."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((jax.typeof(x), getattr(x, "sharding", None)) for x in leaves)


def _program(
    lowered: jax.stages.Lowered, kind: Hashable, options: dict[str, Any] | None
) -> jax.stages.Compiled:
    key = (lowered.as_text(), kind, lowered.out_tree, str(options))
    if key not in _compiled:
        _compiled[key] = lowered.compile(compiler_options=options)
    _compiled.move_to_end(key)
    if len(_compiled) > _MOST:
        _compiled.popitem(last=False)
    return _compiled[key]
