"""The protocols of encoders and heads: everything that the project asks of one, ours or a third
party's.

All are Flax modules, defined by the shapes of their inputs and outputs. A config names one of
`models.ENCODERS` or `models.HEADS`, or any class as "package.module:Class". There are two kinds of
encoders: of snippets by themselves (`Encoder`), and of whole windows (`WindowEncoder`), which
passes wherever the first does; `windows.py` calls either.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Array, Float, PRNGKeyArray

from lofi_jax.arrays import AnyArray
from lofi_jax.detection.proposals import Proposals, Suppression

Tree = Any


@runtime_checkable
class Module(Protocol):
    """The part of a Flax module that is used."""

    def init(self, key: Any, x: Any, /) -> Any:
        """Fresh variables for an input."""
        ...

    def init_with_output(self, key: Any, x: Any, /) -> Any:
        """The output and fresh variables."""
        ...

    def apply(self, variables: Any, x: Any, /, *args: Any, **kwargs: Any) -> Any:
        """The output for an input."""
        ...


def apply(module: Module, params: Tree, x: Array, *others: Any) -> Array:
    """The one array that a module without state makes of an input, and of what else it takes."""
    return module.apply({"params": params}, x, *others)


def by_path(variables: Tree) -> dict[str, Any]:
    """Nested variables as one dict, by their paths such as "params.conv1.kernel"."""
    return dict(flatten_dict(variables, sep="."))


@runtime_checkable
class Encoder(Module, Protocol):
    """Maps each snippet to a feature: frames (N, T, H, W, 3) uint8 or float in 0..255 -> (N, C)
    float32.

    Snippets are independent. Called with `train=True` and `mutable="batch_stats"`, BatchNorm uses
    and updates the batch's statistics; an encoder without BatchNorm has none. Made with `dtype` (of
    the computation) and `remat` (keep only each block's input for the backward pass).
    """


@runtime_checkable
class WindowEncoder(Module, Protocol):
    """Maps whole windows to features: frames (B, F, H, W, 3) uint8 or float in 0..255 -> (B, n, C)
    float32, n evenly spaced features of which `windows.encode` makes one a snippet.

    Time may mix over the whole window, so frames are consecutive and equally spaced. Called with
    `chunk=N`, it holds the activations of N clips at once, with the same gradient (0: of all; then
    no loop hides work from `planning.tflop`). `train` and `mutable`, `dtype` and `remat` as for an
    `Encoder`. Parameters of adapters lie below "adapters", everything else is the backbone: without
    an adapter there is nothing else, and public weights and stage 1 (which trains the backbone
    alone) give just that.

    Attributes:
        clip: frames that the backbone sees together; divides F.
        patch: pixels of a patch's side; divides H and W.
        adapter: one of `ADAPTERS`: none; inside the blocks ("tia"); or beside them ("side"), with
            no gradient in the backbone.
        backbone: one of `BACKBONES`: whether its parameters get a gradient.

    One that has an attribute `stochastic` that is true is called in training with a keyword
    argument `keys`, a key for each window; see drop_path.py.
    """

    clip: int
    patch: int
    adapter: str
    backbone: str

    def clone(self, **changes: Any) -> Any:
        """The encoder with other attributes; every Flax module has this."""
        ...


ADAPTERS = ("none", "tia", "side")
BACKBONES = ("trained", "frozen")


@runtime_checkable
class Head(Module, Protocol):
    """Features of videos in, raw outputs out: (B, L, C) -> a dict of arrays, each (B, ...).

    Attributes:
        classifies: gives its proposals labels; it is then made with `classes`, their number.
        suppression: how its authors suppress overlapping proposals.

    One that has an attribute `stochastic` that is true is called in training with a second
    argument, a key for each video; see drop_path.py.
    """

    classifies: bool
    suppression: Suppression

    def loss(
        self, outputs: Mapping[str, AnyArray], batch: Mapping[str, AnyArray], key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The loss and its terms, in float32.

        Args:
            outputs: of a call of the head.
            batch: "segments" (B, M, 2) in units of the video, "labels" (B, M) int and "valid" (B,
                M) bool.
            key: for random draws.
        """
        ...

    def proposals(self, outputs: Mapping[str, np.ndarray]) -> Sequence[Proposals]:
        """Every video's proposals, before suppression."""
        ...
