"""AdaTAD's adapters in plain PyTorch around a reference's blocks, on our parameters."""

import torch
import torch_videomae


def made(tree):
    """An adapter with one layer's parameters of ours, which take gradients."""
    width, inner = tree["down"]["kernel"].shape
    module = torch_videomae.Adapter(width)
    arrays = {"scale": tree["scale"]}
    for name in ("down", "up"):
        arrays |= {f"{name}.weight": tree[name]["kernel"].T, f"{name}.bias": tree[name]["bias"]}
    arrays["depthwise.weight"] = tree["depthwise"]["kernel"].T[:, None]
    arrays["pointwise.weight"] = tree["pointwise"]["kernel"].T[:, :, None]
    arrays |= {f"{name}.bias": tree[name]["bias"] for name in ("depthwise", "pointwise")}
    module.load_state_dict({key: torch.tensor(array) for key, array in arrays.items()})
    return module


def gradients(modules):
    """The gradients of a stack of adapters, as our parameters."""

    def stacked(name):
        return torch.stack([module.get_parameter(name).grad for module in modules]).numpy()

    turned = {name: stacked(f"{name}.weight").swapaxes(1, 2) for name in ("down", "up")}
    turned["depthwise"] = stacked("depthwise.weight")[:, :, 0].swapaxes(1, 2)
    turned["pointwise"] = stacked("pointwise.weight")[..., 0].swapaxes(1, 2)
    of_layers = {
        name: {"kernel": kernel, "bias": stacked(f"{name}.bias")} for name, kernel in turned.items()
    }
    return of_layers | {"scale": stacked("scale")}
