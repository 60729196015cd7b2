"""Whether a GPU or TPU is at hand, told without JAX."""

import glob
import importlib.util
import os
import pkgutil
import sys

# The files under /dev by which Linux offers the devices of JAX's plugins: NVIDIA's of servers, of WSL and of Jetson;
# TPUs.
_FILES = {
    "xla_cuda12": ("nvidia*", "dxg", "nvhost*", "nvmap"),
    "xla_cuda13": ("nvidia*", "dxg", "nvhost*", "nvmap"),
    "libtpu": ("accel*", "vfio/[0-9]*"),
}


def keep_absent_ones_quiet() -> None:
    """Leaves JAX to the CPU where it has plugins for other devices and none of these is at hand.

    It would come to the same, but first say at length what each plugin found missing, as where `[plan-gpu]` is
    installed to plan for a card. Has no effect after JAX has been imported, nor against what the environment says.
    """
    plugins = _plugins()
    if sys.platform != "linux" or not plugins <= set(_FILES):
        return
    if plugins and not any(glob.glob(f"/dev/{name}") for p in plugins for name in _FILES[p]):
        os.environ.setdefault("JAX_PLATFORMS", "cpu")


def _plugins() -> set[str]:
    """The plugins that JAX will find."""
    plugins = importlib.util.find_spec("jax_plugins")
    folders = plugins.submodule_search_locations if plugins else ()
    found = {module.name for module in pkgutil.iter_modules(folders)}
    return found | ({"libtpu"} if importlib.util.find_spec("libtpu") else set())
