"""Devices that are not there: which there are, and that XLA's own compilers compile for them."""

import os
import subprocess
import sys
from importlib import metadata

import commands
import pytest

from lofi_jax.devices import compile_only, plugins, table, topology
from lofi_jax.devices.gpu_target import target_config
from lofi_jax.errors import UserError

PLATFORMS = ("cuda", "tpu")

# Compiles a product of matrices spread over the devices, for each "name count hosts".
PROGRAM = """
import sys
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from lofi_jax.devices import compile_only, table

for name, count, hosts in (wanted.split(",") for wanted in sys.argv[1:]):
    devices = compile_only.devices(name, int(count), int(hosts) or None)
    spread = NamedSharding(Mesh(np.array(devices), ("x",)), PartitionSpec("x"))
    x = jax.ShapeDtypeStruct((256, 256), "bfloat16", sharding=spread)
    lowered = jax.jit(lambda x: (x @ x.T).sum()).lower(x)
    compiled = compile_only.compiled(lowered, table.find(name).platform)
    held = compiled.memory_analysis().argument_size_in_bytes
    kinds = {device.device_kind for device in devices}
    print(*kinds, len(devices), len({d.process_index for d in devices}), held, sep=",")
"""


def compiled_elsewhere(platform, *wanted):
    """What PROGRAM prints, or a skipped test where the platform's compiler is missing."""
    try:
        plugins.check(platform)
    except UserError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-c", PROGRAM, *wanted]
    environment = os.environ | compile_only.environment(platform)
    options = dict(cwd=commands.ROOT, env=environment, capture_output=True, text=True)
    ended = subprocess.run(command, check=False, timeout=300, **options)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_gpus_that_are_not_there_are_compiled_for():
    wanted = ("t4,1,0", "h100,8,0", "a100,16,0", "b200,4,2")
    # 256 x 256 numbers of two bytes, over the devices.
    assert compiled_elsewhere("cuda", *wanted) == [
        "Tesla T4,1,1,131072",
        "NVIDIA H100 80GB HBM3,8,1,16384",
        "NVIDIA A100-SXM4-80GB,16,2,8192",
        "NVIDIA B200,4,2,32768",
    ]


def test_tpus_that_are_not_there_are_compiled_for():
    wanted = ("v5e,1,0", "v5e,8,0", "v5e,8,2", "v5e,16,0", "v6e,4,0", "v4,4,0")
    found = [line.rpartition(",")[0] for line in compiled_elsewhere("tpu", *wanted)]
    assert found == [
        *("TPU v5 lite,1,1", "TPU v5 lite,8,1", "TPU v5 lite,8,2", "TPU v5 lite,16,4"),
        *("TPU v6 lite,4,1", "TPU v4,4,1"),
    ]


@pytest.mark.parametrize("name", table.DEVICES)
def test_every_device_is_described(name):
    device = table.find(name)
    assert device.platform in PLATFORMS and device.memory_gib > 10 and device.bandwidth > 100
    assert device.teraflops["bfloat16"] >= device.teraflops["float32"] > 1
    if device.platform == "cuda":
        assert f'"{device.kind}"' in target_config(device)
    assert topology.hosts_of(name, 1) == topology.hosts_of(name, 4) == 1
    assert topology.hosts_of(name, 256) == (32 if device.platform == "cuda" else 64)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("v5", "did you mean v5[ep]"),
        ("H-100", "did you mean h100"),
        ("cray", "this name; v100, t4"),
    ],
)
def test_an_unknown_device_is_refused_with_those_there_are(name, says):
    with pytest.raises(UserError, match=says):
        table.find(name)


@pytest.mark.parametrize(
    ("name", "count", "says"),
    [
        ("v5e", 3, "--devices=3: v5e comes in slices of 1, 4, 8, 16"),
        ("h100", 0, "--devices=0: h100 comes in 1 to 8 on a host"),
        ("t4", 12, "--devices=12: t4 comes in 1 to 8 on a host, and in multiples of 8"),
    ],
)
def test_devices_that_do_not_come_together_are_refused(name, count, says):
    with pytest.raises(UserError, match=says):
        topology.hosts_of(name, count)


def installed(monkeypatch, **versions):
    """Makes these, and no others, the versions of the packages."""

    def version(package):
        if package.replace("-", "_") in versions:
            return versions[package.replace("-", "_")]
        raise metadata.PackageNotFoundError(package)

    asked = ["jaxlib<=0.10.2", "libtpu==0.0.42.*; extra == 'tpu'"]
    monkeypatch.setattr(plugins.metadata, "version", version)
    monkeypatch.setattr(plugins.metadata, "requires", lambda package: asked)


def test_a_missing_plugin_is_named_by_its_extra(monkeypatch):
    installed(monkeypatch, jax="0.10.2", jaxlib="0.10.2")
    for platform, extra in zip(PLATFORMS, ("plan-gpu", "plan-tpu"), strict=True):
        with pytest.raises(UserError, match=rf"pip install 'lofi_jax\[{extra}\]'"):
            plugins.check(platform)


def test_a_plugin_of_another_version_is_refused(monkeypatch):
    both = {"jax": "0.10.2", "jaxlib": "0.10.2"}
    installed(monkeypatch, **both, jax_cuda13_plugin="0.11.2", libtpu="0.0.41")
    with pytest.raises(UserError, match="jax-cuda13-plugin 0.11.2 does not match jaxlib 0.10.2"):
        plugins.check("cuda")
    with pytest.raises(UserError, match=r"libtpu 0.0.41 .*: pip install 'libtpu==0.0.42.\*'"):
        plugins.check("tpu")
    installed(monkeypatch, **both, jax_cuda12_plugin="0.10.2.post1", libtpu="0.0.52")
    for platform in PLATFORMS:
        plugins.check(platform)
