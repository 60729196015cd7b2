"""Convolutions: the library's on GPUs and TPUs, forms that suit XLA's CPU backend on the CPU."""

import functools

from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from lofi_jax.models.layers import cpu_convolution

# A remat policy keeps the outputs of convolutions by this name.
OUTPUT = "convolution"


def convolve(
    x: Float[Array, "N ..."], kernel: Float[Array, "..."], strides, padding, **options
) -> Float[Array, "N ..."]:
    """Does what `lax.conv_general_dilated` does, for an `nn.Conv` without dilation.

    The CPU's forms stay on the CPU: the GPU compiler aborts on one of them, the product of every
    second pixel (jax 0.10.2 and 0.11.2).
    """
    on_cpu, library = (
        functools.partial(form, strides=strides, padding=padding, **options)
        for form in (cpu_convolution.convolve, _library)
    )
    return checkpoint_name(lax.platform_dependent(x, kernel, cpu=on_cpu, default=library), OUTPUT)


def _library(x, kernel, strides, padding, **options):
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)
