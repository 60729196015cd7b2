"""Whether this machine has a GPU or TPU, without importing JAX."""

import glob
import importlib.util
import os
import pkgutil
import sys

# The files under /dev of the devices of JAX's plugins on Linux: NVIDIA's of servers, of WSL and of
# Jetson; TPUs.
_FILES = {
    "xla_cuda12": ("nvidia*", "dxg", "nvhost*", "nvmap"),
    "xla_cuda13": ("nvidia*", "dxg", "nvhost*", "nvmap"),
    "libtpu": ("accel*", "vfio/[0-9]*"),
}


def keep_absent_ones_quiet() -> None:
    """Selects the CPU for JAX if it has plugins for other devices but this machine has none of
    them.

    JAX would do so itself, but only after long messages about what each plugin found missing, for
    instance where `[plan-gpu]` is installed. Has no effect after JAX has been imported, or if the
    environment sets the platform.
    """
    plugins = _plugins()
    if sys.platform != "linux" or not plugins <= set(_FILES):
        return
    if plugins and not any(glob.glob(f"/dev/{name}") for p in plugins for name in _FILES[p]):
        os.environ.setdefault("JAX_PLATFORMS", "cpu")


def is_cpu() -> bool:
    """Whether JAX computes on the CPU: so the environment says by now, or no plugin is there."""
    return os.environ.get("JAX_PLATFORMS") == "cpu" or not _plugins()


def _plugins() -> set[str]:
    """The plugins that JAX will find."""
    plugins = importlib.util.find_spec("jax_plugins")
    folders = plugins.submodule_search_locations if plugins else ()
    found = {module.name for module in pkgutil.iter_modules(folders)}
    return found | ({"libtpu"} if importlib.util.find_spec("libtpu") else set())
