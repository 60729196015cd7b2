"""The layouts of public encoders' checkpoints: where each array belongs."""

from lofi_jax.weights import videomae_layout, videoprism_layout, vjepa_layout
from lofi_jax.weights.assign import Layout

_BLOCK = ("^layer#.#.", "^layer#_#.")
_DOWNSAMPLE = (("downsample.0.", "downsample_conv."), ("downsample.1.", "downsample_bn."))
_RESNET = (_BLOCK, *_DOWNSAMPLE, ("^", "^resnet."))
_R2PLUS1D = (
    _BLOCK,
    ("^stem.0.", "^stem.spatial."),
    ("^stem.1.", "^stem.norm."),
    ("^stem.3.", "^stem.temporal."),
    ("^stem.4.", "^stem_bn."),
    ("conv#.0.0.", "conv#.spatial."),
    ("conv#.0.1.", "conv#.norm."),
    ("conv#.0.3.", "conv#.temporal."),
    ("conv#.1.", "bn#."),
    *_DOWNSAMPLE,
)

ENCODER_LAYOUTS: dict[str, Layout] = {
    "torchvision's ResNet": Layout(_RESNET),
    "the TSM authors'": Layout(
        (("^base_model.", "^"), ("^layer#.#.conv1.net.", "^layer#.#.conv1."), *_RESNET)
    ),
    "mmaction2's ResNet": Layout(
        (
            ("^backbone.", "^"),
            ("^layer#.#.conv1.conv.net.", "^layer#.#.conv1.conv."),
            ("conv#.bn.", "bn#."),
            ("conv#.conv.", "conv#."),
            ("downsample.conv.", "downsample.0."),
            ("downsample.bn.", "downsample.1."),
            *_RESNET,
        )
    ),
    "torchvision's R(2+1)D": Layout(_R2PLUS1D),
    "TSP's R(2+1)D": Layout((("^features.", "^"), *_R2PLUS1D)),
    "mmaction2's R(2+1)D": Layout(
        (
            ("^backbone.", "^"),
            ("^conv1.conv.", "^stem."),
            ("^conv1.bn.", "^stem_bn."),
            _BLOCK,
            ("conv#.bn.", "bn#."),
            ("conv#.conv.", "conv#."),
            ("downsample.conv.", "downsample_conv."),
            ("downsample.bn.", "downsample_bn."),
            ("conv_s.", "spatial."),
            ("bn_s.", "norm."),
            ("conv_t.", "temporal."),
        )
    ),
    **videomae_layout.VIDEOMAE_LAYOUTS,
    "VideoPrism's": videoprism_layout.layout,
    **vjepa_layout.VJEPA_LAYOUTS,
}
