"""The packages that hold XLA's compilers for devices that are not there."""

import re
from importlib import metadata

from lofi_jax.errors import UserError

_CUDA = ("jax-cuda12-plugin", "jax-cuda13-plugin")


def check(platform: str) -> None:
    """Checks that a platform's compiler is installed, without loading it.

    Args:
        platform: "cuda" or "tpu".

    Raises:
        UserError: it is missing, or does not match the installed JAX.
    """
    if platform == "cuda":
        _check_cuda()
    else:
        _check_tpu()


def _check_cuda() -> None:
    jaxlib = metadata.version("jaxlib")
    found = {name: version for name in _CUDA if (version := _version(name))}
    if not found:
        raise UserError(
            "XLA's compiler for GPUs is not installed: pip install 'lofi_jax[plan-gpu]'"
        )
    for name, version in found.items():
        if _release(version) != _release(jaxlib):
            raise UserError(
                f"{name} {version} does not match jaxlib {jaxlib}: pip install"
                f" '{name}[with-cuda]=={jaxlib}'"
            )


def _check_tpu() -> None:
    found = _version("libtpu")
    if not found:
        raise UserError(
            "XLA's compiler for TPUs is not installed: pip install 'lofi_jax[plan-tpu]'"
        )
    # libtpu has its own version numbers; JAX names the least one that it supports.
    asked = [re.match(r"libtpu==([\d.]+)", line) for line in metadata.requires("jax") or ()]
    for least in (match[1].rstrip(".") for match in asked if match):
        if _release(found) < _release(least):
            raise UserError(
                f"libtpu {found} does not match jax {metadata.version('jax')}: pip install"
                f" 'libtpu=={least}.*'"
            )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without a suffix such as ".post1"."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    if numbers is None:
        raise ValueError(f"{version!r} does not begin with a number")
    return tuple(int(number) for number in numbers[0].split("."))
