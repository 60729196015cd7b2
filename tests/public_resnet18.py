"""The arrays of a public checkpoint: a ResNet-18 as torchvision stores it, with random numbers."""

import numpy as np

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def arrays() -> dict[str, np.ndarray]:
    """The arrays by torchvision's names."""
    rng = np.random.default_rng(0)
    shapes = {"conv1": (64, 3, 7, 7), "bn1": (64,)}
    inputs = 64
    for i, width in enumerate((64, 128, 256, 512), 1):
        for j in range(2):
            block = f"layer{i}.{j}"
            shapes[f"{block}.conv1"] = (width, inputs, 3, 3)
            shapes[f"{block}.conv2"] = (width, width, 3, 3)
            shapes[f"{block}.bn1"] = shapes[f"{block}.bn2"] = (width,)
            if inputs != width:
                shapes[f"{block}.downsample.0"] = (width, inputs, 1, 1)
                shapes[f"{block}.downsample.1"] = (width,)
            inputs = width
    arrays = {"fc.weight": np.zeros((10, 512), np.float32), "fc.bias": np.zeros(10, np.float32)}
    for name, shape in shapes.items():
        for kind in BATCH_NORM if len(shape) == 1 else ("weight",):
            arrays[f"{name}.{kind}"] = rng.standard_normal(shape, np.float32)
        if len(shape) == 1:
            arrays[f"{name}.num_batches_tracked"] = np.array(7)
    return arrays
