"""3 x 3 convolutions with fewer products (Winograd's minimal filtering, arXiv 1509.09308), in the form fast on CPUs.

A picture is cut into tiles of n x n pixels of what comes out. Over a tile's n + 2 pixels each way the convolution is,
between a change of basis of picture and kernel and one back, a product over the channels at each of (n + 2)^2 places:
16 in place of 36 with n = 2, 36 in place of 144 with n = 4.

Forward and for the picture's gradient n is 2, which is as exact as the plain sum (1e-6 of the largest value in float32);
for the kernel's gradient it is 4, which is exact to 1e-5.
"""

import functools
import operator

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# The changes of basis of picture and kernel, and the one back, for tiles of 2 and 4 (B^T, G and A^T in the paper).
_PICTURE = {
    2: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    4: (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
}
_KERNEL = {
    2: ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    4: (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
}
_BACK = {
    2: ((1, 1, 1, 0), (0, 1, -1, -1)),
    4: ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
}

# With fewer the changes of basis take more time than the products save.
_CHANNELS = 32
# Smaller pictures have too few tiles of 4.
_LARGE = 7
# Bytes of the pictures worked on at once: with what is made of them they stay in a core's cache.
_BLOCK = 2**20

# Where it is not said that a step's values are kept, XLA computes them again in every loop of the next step.
_kept = lax.optimization_barrier


def suits(x, kernel, strides, padding) -> bool:
    """Whether a convolution is of this kind, and large enough to gain."""
    floats = x.dtype == kernel.dtype == jnp.float32
    channels = min(kernel.shape[2:])
    kind = kernel.shape[:2], tuple(strides), tuple(map(tuple, padding))
    return floats and channels >= _CHANNELS and kind == ((3, 3), (1, 1), ((1, 1), (1, 1)))


def convolve(
    x: Float[Array, "N H W C"], kernel: Float[Array, "3 3 C D"]
) -> Float[Array, "N H W D"]:
    """The convolution with a stride and a padding of 1.

    It gives the picture's gradient, too: from that of what came out, with the kernel turned round.
    """
    rows = _kept(_sums(_KERNEL[2], kernel))
    kernels = _kept([_sums(_KERNEL[2], row) for row in rows])

    def of_block(x):
        places = zip(_changed(_PICTURE[2], x, 2), kernels, strict=True)
        products = _kept([list(map(operator.matmul, *row)) for row in places])
        return _joined(products, x.shape)

    y = lax.map(of_block, _blocks(x, x, kernel))
    return y.reshape(*x.shape[:3], -1)


def kernel_gradient(
    x: Float[Array, "N H W C"], kernel: Float[Array, "3 3 C D"], gradient: Float[Array, "N H W D"]
) -> Float[Array, "3 3 C D"]:
    """The kernel's gradient, from that of what came out."""
    n = 4 if min(x.shape[1:3]) >= _LARGE else 2

    def add(sums, block):
        x, gradient = block
        pictures, gradients = _changed(_PICTURE[n], x, n), _changed(_turned(_BACK[n]), gradient, n)
        places = zip(pictures, gradients, strict=True)
        products = [[v.T @ g for v, g in zip(*row, strict=True)] for row in places]
        return jax.tree.map(jnp.add, sums, products), None

    sums = [[jnp.zeros_like(kernel[0, 0])] * (n + 2)] * (n + 2)
    sums, _ = lax.scan(add, sums, (_blocks(x, x, kernel), _blocks(gradient, x, kernel)))
    back = _turned(_KERNEL[n])
    columns = _kept([_sums(back, column) for column in zip(*sums, strict=True)])
    return jnp.stack([jnp.stack(_sums(back, row)) for row in zip(*columns, strict=True)])


def _turned(matrix):
    return list(zip(*matrix, strict=True))


def _sums(matrix, values) -> list:
    """The matrix times the vector of values, which are arrays."""
    rows = ([a * x for a, x in zip(row, values, strict=True) if a] for row in matrix)
    return [functools.reduce(operator.add, terms) for terms in rows]


def _blocks(pictures, x, kernel):
    """Pictures (blocks, pictures of a block, H, W, C), as many in a block as are worked on at once.

    Every block reads the kernel: it is no larger than the block.
    """
    most = max(_BLOCK, kernel.nbytes) * len(x) // x.nbytes
    size = max(n for n in range(1, max(most, 1) + 1) if len(x) % n == 0)
    return pictures.reshape(-1, size, *pictures.shape[1:])


def _changed(matrix, x, n: int) -> list[list[Float[Array, "tiles C"]]]:
    """The change of basis of every tile of n x n pixels with the pixels around it that the matrix takes."""
    reach = len(matrix[0])
    margin = (reach - n) // 2
    counts = [-(-size // n) for size in x.shape[1:3]]
    pads = [(margin, n * k - size + margin) for k, size in zip(counts, x.shape[1:3], strict=True)]
    x = _kept(jnp.pad(x, ((0, 0), *pads, (0, 0))))

    def along(x, axis):
        last = n * (counts[axis - 1] - 1) + 1
        parts = [lax.slice_in_dim(x, i, i + last, n, axis) for i in range(reach)]
        return _sums(matrix, parts)

    rows = _kept(along(x, 1))
    return _kept([[y.reshape(-1, y.shape[-1]) for y in along(row, 2)] for row in rows])


def _joined(products, shape) -> Float[Array, "N H W D"]:
    """The change of basis back of every tile of 2 x 2 pixels, and pictures of the given shape made of them."""
    pictures, height, width = shape[:3]
    columns = _kept([_sums(_BACK[2], column) for column in zip(*products, strict=True)])
    rows = _kept([_sums(_BACK[2], row) for row in zip(*columns, strict=True)])
    down = -(-height // 2)
    # Neighbours come together along the last axis, where XLA copies them whole.
    lines = [jnp.concatenate(row, 1).reshape(pictures * down, -1) for row in rows]
    y = _kept(jnp.concatenate(_kept(lines), 1))
    return y.reshape(pictures, 2 * down, 2 * -(-width // 2), -1)[:, :height, :width]
