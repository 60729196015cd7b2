"""Position embeddings of video transformers, for any grid of patches."""

import numpy as np
from jaxtyping import Float

_CUBIC = -0.75  # the cubic's slope, as in PyTorch and OpenCV


def sinusoids(positions: int, width: int) -> Float[np.ndarray, "positions C"]:
    """Sines at even channels and cosines at odd ones, of wavelengths up to 10,000 x 2 pi
    (arXiv 1706.03762, section 3.5).
    """
    channel = np.arange(width)
    angle = np.arange(positions)[:, None] / np.power(10000.0, 2 * (channel // 2) / width)
    return np.where(channel % 2, np.cos(angle), np.sin(angle))


def resized(
    table: Float[np.ndarray, "T H W C"], height: int, width: int
) -> Float[np.ndarray, "T h w C"]:
    """Interpolates every time step's grid bicubically to another size; half-pixel centres."""
    rows, columns = (
        _bicubic(*sizes) for sizes in ((table.shape[1], height), (table.shape[2], width))
    )
    return np.einsum("hi,wj,tijc->thwc", rows, columns, table, optimize=True)


def _bicubic(there: int, wanted: int) -> Float[np.ndarray, "wanted there"]:
    """The weight of each entry in each interpolated one; beyond the ends, the last is repeated."""
    weights = np.zeros((wanted, there))
    if there == wanted:
        return np.eye(there)
    centres = (np.arange(wanted) + 0.5) * there / wanted - 0.5
    first = np.floor(centres).astype(int)
    for tap in range(-1, 3):
        at = np.clip(first + tap, 0, there - 1)
        np.add.at(weights, (np.arange(wanted), at), _cubic(centres - first - tap))
    return weights


def _cubic(distance: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The cubic convolution kernel (Keys, 1981)."""
    x, a = np.abs(distance), _CUBIC
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
