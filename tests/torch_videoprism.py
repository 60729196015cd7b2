"""VideoPrism in plain PyTorch, on the arrays of its public checkpoints by their keys.

Written from the paper and from what is known of the public network, as a reference that shares
nothing with ours.
"""

import torch
from torch.nn import functional


def shapes(width, depths, heads, positions, patch):
    """The shapes of a checkpoint's arrays by key."""
    head = (width, heads, width // heads)
    hidden = 4 * width
    found = {
        "patch_projection/linear/kernel": (3 * patch**2, width),
        "patch_projection/linear/bias": (width,),
        "spatial_pos_emb/emb_var": (positions[1] * positions[2], width),
        "temporal_pos_emb/emb_var": (positions[0], width),
    }
    for stage, depth in zip(("spatial", "temporal"), depths, strict=True):
        found |= {f"{stage}_ln/scale": (width,), f"{stage}_ln/bias": (width,)}
        block = {"layer_norm/scale": (width,), "layer_norm/bias": (width,)}
        block |= {f"ff_layer/{key}": shape for key, shape in block.items()}
        for name in ("query", "key", "value", "post"):
            block[f"self_attention/{name}/w"] = head
            block[f"self_attention/{name}/b"] = (width,) if name == "post" else head[1:]
        for i, (inner, outer) in enumerate(((width, hidden), (hidden, width)), 1):
            block[f"ff_layer/ffn_layer{i}/linear/kernel"] = (inner, outer)
            block[f"ff_layer/ffn_layer{i}/linear/bias"] = (outer,)
        stack = f"{stage}_encoder/transformers_stack/x_layers"
        found |= {f"{stack}/{key}": (depth, *shape) for key, shape in block.items()}
    return {f"params/{key}": shape for key, shape in found.items()}


def norm(x, arrays, name):
    scale, bias = (arrays[f"{name}/{kind}"] for kind in ("scale", "bias"))
    return functional.layer_norm(x, x.shape[-1:], 1 + scale, bias, eps=1e-6)


def linear(x, arrays, name):
    return x @ arrays[f"{name}/linear/kernel"] + arrays[f"{name}/linear/bias"]


def attention(x, arrays):
    """Head by head: x (N, tokens, C)."""

    def part(name, head):
        return x @ arrays[f"{name}/w"][:, head] + arrays[f"{name}/b"][head]

    heads, size = arrays["query/b"].shape
    out = arrays["post/b"]
    for head in range(heads):
        logits = part("query", head) @ part("key", head).transpose(1, 2) / size**0.5
        weights = (50 * torch.tanh(logits / 50)).softmax(dim=-1)
        out = out + weights @ part("value", head) @ arrays["post/w"][:, head].T
    return out


def below(arrays, prefix):
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def block(x, arrays):
    x = x + attention(norm(x, arrays, "layer_norm"), below(arrays, "self_attention/"))
    own = below(arrays, "ff_layer/")
    y = functional.gelu(linear(norm(x, own, "layer_norm"), own, "ffn_layer1"))
    return x + linear(y, own, "ffn_layer2")


def interpolation(there, wanted):
    """Weights (wanted, there) of linear interpolation, the triangles widened to average where the
    grid shrinks.
    """
    centres = (torch.arange(wanted) + 0.5) * there / wanted - 0.5
    distance = (centres[:, None] - torch.arange(there)).abs() / max(there / wanted, 1)
    weights = (1 - distance).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)


def encode(arrays, frames, positions, patch, depths, after=lambda stage, i, x: x):
    """Frames of a clip (N, T, H, W, 3) in 0..1 to tokens (N, T, places, C).

    Args:
        depths: how many blocks of each stage to go through.
        after: what goes on of each block's output (N, T, places, C).
    """
    arrays = below(arrays, "params/")
    clips, times = frames.shape[:2]
    rows, columns = frames.shape[2] // patch, frames.shape[3] // patch
    x = frames.unfold(2, patch, patch).unfold(3, patch, patch)  # (N, T, rows, columns, 3, p, p)
    x = x.permute(0, 1, 2, 3, 5, 6, 4).flatten(4).flatten(2, 3)
    x = linear(x, arrays, "patch_projection")
    places = arrays["spatial_pos_emb/emb_var"].unflatten(0, positions[1:])
    across = interpolation(positions[1], rows), interpolation(positions[2], columns)
    x = x + torch.einsum("ri,cj,ijd->rcd", *across, places).flatten(0, 1)
    for stage, depth in zip(("spatial", "temporal"), depths, strict=True):
        if stage == "temporal":
            moments = interpolation(positions[0], times) @ arrays["temporal_pos_emb/emb_var"]
            x = x + moments[:, None]
        stack = below(arrays, f"{stage}_encoder/transformers_stack/x_layers/")
        for i in range(depth):
            alone = x if stage == "spatial" else x.transpose(1, 2)
            y = block(alone.flatten(0, 1), {key: array[i] for key, array in stack.items()})
            y = y.unflatten(0, alone.shape[:2])
            x = after(stage, i, y if stage == "spatial" else y.transpose(1, 2))
        x = norm(x, arrays, f"{stage}_ln")
    return x
