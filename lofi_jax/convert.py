"""`python -m lofi_jax.convert`: a public checkpoint of an encoder made one of ours.

    python -m lofi_jax.convert --source=resnet18-f37072fd.pth --encoder=tsm_resnet18 --output=encoders/icp

It reads .safetensors files and, with PyTorch installed (pip install 'lofi_jax[torch]'), .pth, .pt and .tar files of

| --encoder | from |
|---|---|
| `tsm_resnet18`, `tsm_resnet34`, `tsm_resnet50` | torchvision, the TSM authors (shift in 1/8, blockres), mmaction2 |
| `r2plus1d_18` | torchvision, TSP |
| `r2plus1d_34` | TSP, and IG-65M's port to PyTorch |
| `r2plus1d_34_mmaction2` | mmaction2, whose network is another one |

and says what it used and what it ignored. A network that is not the one named is refused. No code in a file is run.

Name the output folder in a config: `encoder_checkpoint="encoders/icp"` with `encoder.name="tsm_resnet18"`. An image
classifier of torchvision's is a TSM encoder as it is, since the shift has no parameters: that is the start called ICP.
A video classifier is the start called ACP.
"""

from absl import flags

from lofi_jax import errors
from lofi_jax.stages import convert

_SOURCE = flags.DEFINE_string("source", None, "A .pth, .pt, .tar or .safetensors file.")
_ENCODER = flags.DEFINE_string("encoder", None, f"One of {', '.join(convert.NAMES)}.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder that gets the checkpoint.")


def main(argv):
    if len(argv) > 1:
        raise errors.UserError(f"unexpected arguments {argv[1:]}: write --name=value")
    print(convert.encoder(_SOURCE.value, _ENCODER.value, _OUTPUT.value))


if __name__ == "__main__":
    flags.mark_flags_as_required(["source", "encoder", "output"])
    errors.run(main)
