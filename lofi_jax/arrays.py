"""What JAX takes for an array."""

import jax
import numpy as np

AnyArray = jax.Array | np.ndarray
