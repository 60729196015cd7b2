"""Drop path (stochastic depth, Huang et al., arXiv 1603.09382): in training, a residual branch is
left out for some of a batch's samples, in deeper layers more often (its section 3.2).

Each sample has its own key. So what is dropped depends neither on the devices nor on the
microbatches that a batch is spread over. A module whose attribute `stochastic` is true is called in
training with the samples' keys as a second argument; without keys, as in inference, it drops
nothing. An encoder of windows is called with keyword argument `keys`, one for each window.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from lofi_jax.arrays import AnyArray

Keys = Key[Array, " B"] | None


def rates(highest: float, layers: int) -> list[float]:
    """The rate of each layer, rising linearly from 0 to the highest, as vision transformers do."""
    return np.linspace(0, highest, layers).tolist()


def of_layer(keys: Keys, layer: int) -> Keys:
    """The samples' keys for one of several branches."""
    if keys is None:
        return None
    return jax.vmap(lambda key: jax.random.fold_in(key, layer))(keys)


def factors(
    highest: float, keys: Keys, clips: int, depth: int
) -> Float[Array, "depth N branches"] | None:
    """What multiplies the two branches of a transformer's blocks: 0 for those left out, else
    1 / (1 - rate).

    Every clip draws for itself, N = B x clips. Drawn once, before any loop: a block that is
    recomputed in the backward pass leaves out the same branches.

    Args:
        highest: the rate of the last block; see `rates`.
        keys: of the windows, in training.
        clips: of a window.

    Returns:
        None where nothing is left out: without keys, or at rate 0.
    """
    if keys is None or highest == 0:
        return None
    draw = jax.vmap(lambda key: jax.random.uniform(key, (clips, depth, 2)))(keys)
    rate = jnp.asarray(rates(highest, depth))[:, None]
    kept = jnp.where(draw >= rate, 1 / (1 - rate), 0.0)
    return kept.reshape(-1, depth, 2).swapaxes(0, 1)


def drop_path(
    branch: Float[AnyArray, "B ..."], rate: float, keys: Keys
) -> Float[AnyArray, "B ..."]:
    """A residual branch, zero for a sample with probability `rate`, else divided by 1 - rate.

    So its mean is the branch's. Without keys, or at rate 0, it is the branch itself.

    Args:
        branch: of each sample.
        rate: in [0, 1).
        keys: one per sample and branch; see `of_layer`.
    """
    if keys is None or rate == 0:
        return branch
    kept = jax.vmap(lambda key: jax.random.uniform(key))(keys) >= rate
    factor = jnp.where(kept, 1 / (1 - rate), 0.0).astype(branch.dtype)
    return branch * factor.reshape(-1, *(1,) * (branch.ndim - 1))
