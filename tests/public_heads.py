"""Public heads' weights in ours: what the parity tests of heads share."""

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from lofi_jax.weights import assign

DIM = 6  # of the features


def arrays_of(named):
    """PyTorch's parameters or buffers as a public file holds them."""
    return {f"module.{key}": np.asarray(value.detach()) for key, value in named}


def converted(arrays, head, layout, shape=(1, 8, DIM)):
    """A head's variables for features of a shape from such arrays, of which none is left over."""
    shapes = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros(shape))
    shapes = {path: leaf.shape for path, leaf in flatten_dict(shapes, sep=".").items()}
    fit = assign.fit(arrays, shapes, {"public": layout})
    assert not fit.problems and not fit.ignored
    return unflatten_dict(fit.variables, sep=".")


def features_of(snippets, videos=2):
    """(videos, snippets, DIM) float32."""
    rng = np.random.default_rng(snippets)
    return rng.normal(size=(videos, snippets, DIM)).astype(np.float32)
