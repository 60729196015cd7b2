"""Describes a GPU to XLA, so that it can compile for one that is not there."""

from lofi_jax.devices.table import Device, Gpu

# By compute capability: bytes of shared memory of a multiprocessor and, opted in, of a block; a
# multiprocessor's threads and float32 units. Source: the tables of the CUDA C++ Programming Guide,
# "Compute Capabilities".
_CAPABILITIES = {
    (7, 0): (98304, 98304, 2048, 64),
    (7, 5): (65536, 65536, 1024, 64),
    (8, 0): (167936, 166912, 2048, 64),
    (8, 6): (102400, 101376, 1536, 128),
    (8, 9): (102400, 101376, 1536, 128),
    (9, 0): (233472, 232448, 2048, 128),
    (10, 0): (233472, 232448, 2048, 128),
    (12, 0): (102400, 101376, 1536, 128),
}


def target_config(device: Device) -> str:
    """A GPU as the text of XLA's GpuTargetConfigProto (stream_executor's
    device_description.proto).
    """
    gpu = device.chip
    if not isinstance(gpu, Gpu):
        raise ValueError(f"{device.kind} is no GPU")
    major, minor = gpu.capability
    shared, shared_by_block, threads, units = _CAPABILITIES[gpu.capability]
    # Datacentre chips from Hopper on have instructions of their own, which programs may use.
    extension = "ACCELERATED_FEATURES" if major in (9, 10) else "NONE"
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {shared}
  shared_memory_per_block_optin: {shared_by_block}
  threads_per_core_limit: {threads}
  core_count: {gpu.cores}
  fpus_per_core: {units}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  memory_bandwidth: {round(device.bandwidth * 1e9)}
  device_memory_size: {round(device.memory_gib * 2**30)}
  l2_cache_size: {round(gpu.l2_mib * 2**20)}
  clock_rate_ghz: {gpu.clock_ghz}
  cuda_compute_capability {{ major: {major} minor: {minor} feature_extension: {extension} }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
runtime_version {{ major: 12 minor: 9 patch: 0 }}
device_description_str: "{device.kind}"
"""
