"""Winograd's 3 x 3 convolution F(n x n, 3 x 3) (arXiv 1509.09308), written for XLA's CPU backend.

The output is cut into tiles of n x n pixels. Image tiles and kernel are transformed, multiplied
over the channels at each of (n + 2)^2 places, and transformed back: 16 products in place of 36 with
n = 2, 36 in place of 144 with n = 4.

The forward pass and the image's gradient use n = 2, with an error of 1e-6 of the largest value in
float32, as in the plain sum. The kernel's gradient uses n = 4, with an error of 1e-5.
"""

import functools
import math
import operator

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# The transforms of the image, the kernel and the output by tile size: B^T, G and A^T in the paper.
_IMAGE = {
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

# With fewer channels the transforms cost more than the saved products.
_CHANNELS = 32
# Multiplications of the plain sum. Below this the many small loops cost more than they save: the
# default run's thin network, with 2**27 a layer, took a tenth longer.
_PRODUCTS = 2**28
# A smaller image is mostly padding of its last tiles.
_SMALLEST = 4
# Smaller images have too few tiles of 4 x 4.
_LARGE = 7
# Bytes of the images transformed at once, so that they and their transforms stay in a core's cache.
_BLOCK = 2**20

# Without this XLA fuses a transform into its users and recomputes it in each of their loops.
_kept = lax.optimization_barrier


def suits(x, kernel, strides, padding) -> bool:
    """Whether this form applies and pays: 3 x 3, stride and padding 1, float32, and enough pixels
    to outweigh the kernel's transform.
    """
    if x.dtype != jnp.float32 or kernel.dtype != jnp.float32:
        return False
    kind = kernel.shape[:2], tuple(strides), tuple(map(tuple, padding))
    if kind != ((3, 3), (1, 1), ((1, 1), (1, 1))) or min(x.shape[1:3]) < _SMALLEST:
        return False
    pixels, channels = math.prod(x.shape[:3]), kernel.shape[2:]
    if min(channels) < _CHANNELS or pixels < 2 * max(channels):
        return False
    return pixels * math.prod(kernel.shape) >= _PRODUCTS


def convolve(
    x: Float[Array, "N H W C"], kernel: Float[Array, "3 3 C D"]
) -> Float[Array, "N H W D"]:
    """The convolution with a stride and a padding of 1."""
    return _convolve(x, kernel, _KERNEL[2], "jitc,jicd->jitd")


def image_gradient(
    kernel: Float[Array, "3 3 C D"], gradient: Float[Array, "N H W D"]
) -> Float[Array, "N H W C"]:
    """The gradient of the image, given the gradient of the output: a convolution of it with the
    reversed kernel from D to C channels.

    XLA takes as long to transpose a large kernel as to multiply with it. So it is the transform
    that is reversed, and the products that read the kernel the other way.
    """
    reversed_ = [row[::-1] for row in _KERNEL[2]]
    return _convolve(gradient, kernel, reversed_, "jitd,jicd->jitc")


def _convolve(x, kernel, transform, product: str):
    places = _along_both(transform, kernel)

    def of_block(x):
        return _joined(_kept(jnp.einsum(product, _tiles(_IMAGE[2], x, 2), places)), x.shape)

    y = lax.map(of_block, _blocks(x, x, kernel))
    return y.reshape(*x.shape[:3], -1)


def kernel_gradient(
    x: Float[Array, "N H W C"], kernel: Float[Array, "3 3 C D"], gradient: Float[Array, "N H W D"]
) -> Float[Array, "3 3 C D"]:
    """The gradient of the kernel, given the gradient of the output."""
    n = 4 if min(x.shape[1:3]) >= _LARGE else 2

    def add(total, block):
        x, gradient = block
        images = _tiles(_IMAGE[n], x, n)
        gradients = _tiles(_turned(_BACK[n]), gradient, n)
        return total + jnp.einsum("jitc,jitd->jicd", images, gradients), None

    # In a shard_map the total differs between devices, as the kernel does.
    total = jnp.zeros((n + 2, n + 2, *kernel.shape[2:])) + 0 * kernel[0, 0, 0, 0]
    total, _ = lax.scan(add, total, (_blocks(x, x, kernel), _blocks(gradient, x, kernel)))
    return _along_both(_turned(_KERNEL[n]), total)


def _blocks(images, x, kernel) -> Float[Array, "blocks n H W C"]:
    """Images in blocks; a block of x has about `_BLOCK` bytes, or the kernel's where that is more,
    because every block reads the whole kernel.
    """
    most = max(_BLOCK, kernel.nbytes) * len(x) // x.nbytes
    size = max(n for n in range(1, max(most, 1) + 1) if len(x) % n == 0)
    return images.reshape(-1, size, *images.shape[1:])


def _turned(matrix) -> list:
    return list(zip(*matrix, strict=True))


def _sums(matrix, values) -> list:
    """The product of a matrix and a vector whose entries are arrays."""
    rows = ([a * x for a, x in zip(row, values, strict=True) if a] for row in matrix)
    return [functools.reduce(operator.add, terms) for terms in rows]


def _stack(values):
    """Stacks arrays; each is computed in its own loop and copied whole."""
    return _kept(jnp.concatenate(_kept([x[None] for x in values])))


def _along_both(matrix, x: Float[Array, "h w C D"]) -> Float[Array, "j i C D"]:
    """Transforms along the first axis (i in the result) and the second (j)."""
    x = _stack(_sums(matrix, list(x)))
    return _stack(_sums(matrix, [x[:, j] for j in range(x.shape[1])]))


def _tiles(matrix, x: Float[Array, "N H W C"], n: int) -> Float[Array, "j i tiles C"]:
    """Transforms every tile of n x n pixels with its margin, as wide as the matrix asks."""
    reach = len(matrix[0])
    margin = (reach - n) // 2
    down, right = (-(-size // n) for size in x.shape[1:3])
    height, width = n * down + 2 * margin, n * right + 2 * margin
    below, beside = height - margin - x.shape[1], width - margin - x.shape[2]
    x = _kept(jnp.pad(x, ((0, 0), (margin, below), (margin, beside), (0, 0))))

    def along(x, axis, count):
        last = n * (count - 1) + 1
        parts = [lax.slice_in_dim(x, i, i + last, n, axis) for i in range(reach)]
        return _stack(_sums(matrix, parts))

    x = along(along(x, 1, down), 3, right)
    return x.reshape(*x.shape[:2], -1, x.shape[-1])


def _joined(products: Float[Array, "j i tiles D"], shape) -> Float[Array, "N H W D"]:
    """Transforms the products back to tiles of 2 x 2 pixels and joins them into images.

    Args:
        shape: of the images, (N, H, W, ...).
    """
    images, height, width = shape[:3]
    columns = _kept(_sums(_BACK[2], list(products)))
    rows = _turned([_kept(_sums(_BACK[2], list(column))) for column in columns])
    down, right = -(-height // 2), -(-width // 2)
    # Neighbours come together along the last axis, where XLA copies them whole.
    lines = [jnp.concatenate(row, axis=1).reshape(images * down, -1) for row in rows]
    y = _kept(jnp.concatenate(_kept(lines), axis=1))
    return y.reshape(images, 2 * down, 2 * right, -1)[:, :height, :width]
