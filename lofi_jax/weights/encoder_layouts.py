"""Where the arrays of public encoders belong: a layout a kind of checkpoint."""

from lofi_jax.weights.assign import Layout, renamed

_BLOCK = (r"^layer(\d)\.(\d+)\.", r"layer\1_\2.")

_RESNET = (
    _BLOCK,
    (r"downsample\.0\.", "downsample_conv."),
    (r"downsample\.1\.", "downsample_bn."),
    (r"^", "resnet."),
)

_R2PLUS1D = (
    _BLOCK,
    (r"^stem\.4\.", "stem_bn."),
    (r"conv(\d)\.1\.", r"bn\1."),
    (r"(stem|conv\d\.0)\.0\.", r"\1.spatial."),
    (r"(stem|conv\d\.0)\.1\.", r"\1.norm."),
    (r"(stem|conv\d\.0)\.3\.", r"\1.temporal."),
    (r"conv(\d)\.0\.", r"conv\1."),
    (r"downsample\.0\.", "downsample_conv."),
    (r"downsample\.1\.", "downsample_bn."),
)


ENCODER_LAYOUTS: dict[str, Layout] = {
    "torchvision's ResNet": renamed(*_RESNET),
    "the TSM authors'": renamed((r"^base_model\.", ""), (r"conv1\.net\.", "conv1."), *_RESNET),
    "mmaction2's ResNet": renamed(
        (r"^backbone\.", ""),
        (r"conv1\.conv\.net\.", "conv1."),
        (r"conv(\d)\.conv\.", r"conv\1."),
        (r"conv(\d)\.bn\.", r"bn\1."),
        (r"downsample\.conv\.", "downsample.0."),
        (r"downsample\.bn\.", "downsample.1."),
        *_RESNET,
    ),
    "torchvision's R(2+1)D": renamed(*_R2PLUS1D),
    "TSP's R(2+1)D": renamed((r"^features\.", ""), *_R2PLUS1D),
    "mmaction2's R(2+1)D": renamed(
        (r"^backbone\.", ""),
        (r"^conv1\.conv\.", "stem."),
        (r"^conv1\.bn\.", "stem_bn."),
        _BLOCK,
        (r"conv(\d)\.conv\.", r"conv\1."),
        (r"conv(\d)\.bn\.", r"bn\1."),
        (r"downsample\.(conv|bn)\.", r"downsample_\1."),
        (r"\.conv_s\.", ".spatial."),
        (r"\.bn_s\.", ".norm."),
        (r"\.conv_t\.", ".temporal."),
    ),
}
