"""Convolutions: the library's, except on the CPU, in forms that XLA's backend is fast at."""

import functools

from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from lofi_jax.models import cpu_convolution

# The name of a convolution's output, by which a remat policy can keep it.
OUTPUT = "convolution"


def convolve(
    x: Float[Array, "N ..."], kernel: Float[Array, "..."], strides, padding, **options
) -> Float[Array, "N ..."]:
    """As `lax.conv_general_dilated`, for an `nn.Conv` without dilation.

    GPUs and TPUs are made for the library's form. XLA's compiler for GPUs even aborts at one of the
    CPU's, the product of every second pixel (jax 0.10.2 and 0.11.2).
    """
    on_cpu, library = (
        functools.partial(form, strides=strides, padding=padding, **options)
        for form in (cpu_convolution.convolve, _library)
    )
    return checkpoint_name(lax.platform_dependent(x, kernel, cpu=on_cpu, default=library), OUTPUT)


def _library(x, kernel, strides, padding, **options):
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)
