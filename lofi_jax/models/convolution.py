"""Convolutions: the library's, but on the CPU in the forms at which XLA is fast there."""

import functools

from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from lofi_jax.models import cpu_convolution

# The name of what a convolution puts out, by which a remat policy can keep it whatever its form.
OUTPUT = "convolution"


def convolve(
    x: Float[Array, "N ..."], kernel: Float[Array, "..."], strides, padding, **options
) -> Float[Array, "N ..."]:
    """As `lax.conv_general_dilated`, for an `nn.Conv` without dilation.

    GPUs and TPUs are made for the library's form. XLA's compiler for GPUs even aborts at one of the CPU's, the product
    of every second pixel (jax 0.10.2 and 0.11.2).
    """
    on_cpu, library = (
        functools.partial(form, strides=strides, padding=padding, **options)
        for form in (cpu_convolution.convolve, _library)
    )
    return checkpoint_name(lax.platform_dependent(x, kernel, cpu=on_cpu, default=library), OUTPUT)


def _library(x, kernel, strides, padding, **options):
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)
