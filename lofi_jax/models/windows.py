"""Both kinds of encoders called in one way: videos in, a feature for each of their snippets out."""

from typing import Any

import jax
from jaxtyping import Array, Float, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.errors import UserError
from lofi_jax.models import chunked
from lofi_jax.models.layers.drop_path import Keys
from lofi_jax.models.protocols import Encoder, WindowEncoder

Tree = Any


def encode(
    encoder: Encoder,
    variables: Tree,
    frames: Real[AnyArray, "B L T H W 3"],
    chunk: int = 0,
    keep: str = "all",
    microbatches: int = 1,
    keys: Keys = None,
) -> Float[Array, "B L C"]:
    """Encodes every snippet of a batch of videos.

    An encoder of windows sees the snippets' frames one after another, as one window; its features
    are averaged over each snippet, or interpolated where there are fewer of them than snippets.

    Args:
        frames: the batch; L, H and W at whatever fidelity.
        chunk, keep, microbatches: as in `chunked.encode`; the chunk counts `pieces`.
        keys: of the videos, in training, for an encoder of windows that leaves branches out.

    Raises:
        UserError: the chunk does not divide the pieces, or the encoder's clip or patch the frames.
    """
    if not isinstance(encoder, WindowEncoder):
        apply = lambda x: encoder.apply(variables, x)  # noqa: E731
        return chunked.encode(apply, frames, chunk, keep, microbatches)
    snippets = frames.shape[1]

    def of_videos(given):
        videos, keys = given
        joined = videos.reshape(len(videos), -1, *videos.shape[3:])
        check(encoder, *joined.shape[1:4])
        features = encoder.apply(variables, joined, chunk=chunk, **_given(keys))
        return resampled(features, snippets)

    return chunked.in_microbatches(of_videos, (frames, keys), microbatches)


def _given(keys: Keys) -> dict[str, Any]:
    """As an argument, for an encoder that takes some."""
    return {} if keys is None else {"keys": keys}


def encode_clips(
    encoder: Encoder,
    variables: Tree,
    clips: Real[AnyArray, "N T H W 3"],
    keys: Keys = None,
    **how: Any,
) -> Any:
    """One feature (N, C) for each trimmed clip: what `encoder.apply` returns, but a window's
    features averaged over time.

    Args:
        keys: of the clips, as in `encode`.
        how: further arguments of `apply`, such as train=True and mutable="batch_stats".
    """
    if not isinstance(encoder, WindowEncoder):
        return encoder.apply(variables, clips, **how)
    check(encoder, *clips.shape[1:4])
    out = encoder.apply(variables, clips, **_given(keys), **how)
    if "mutable" not in how:
        return out.mean(axis=1)
    features, new = out
    return features.mean(axis=1), new


def resampled(features: Float[Array, "B n C"], length: int) -> Float[Array, "B L C"]:
    """Evenly spaced features at another rate: means of whole groups, or else interpolated
    linearly.
    """
    videos, there, width = features.shape
    if there % length == 0:
        return features.reshape(videos, length, -1, width).mean(axis=2)
    return jax.image.resize(features, (videos, length, width), "linear")


def pieces(encoder: Encoder, snippets: int, frames: int) -> int:
    """What a chunk counts in one video: its snippets, or the clips of an encoder of windows.

    Args:
        frames: T, of a snippet.

    Raises:
        UserError: the encoder's clip does not divide the video's frames.
    """
    if not isinstance(encoder, WindowEncoder):
        return snippets
    check_frames(encoder, snippets * frames)
    return snippets * frames // encoder.clip


def example(encoder: Encoder, snippet: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The shape of an input that an encoder takes: of a snippet (T, H, W, 3), or a clip of about
    its pixels, in whole patches.
    """
    if not isinstance(encoder, WindowEncoder):
        return snippet
    height, width = (-(-pixels // encoder.patch) * encoder.patch for pixels in snippet[1:3])
    return (encoder.clip, height, width, snippet[-1])


def check(encoder: WindowEncoder, frames: int, height: int, width: int) -> None:
    """Checks that a window can be cut into the encoder's clips and patches.

    Raises:
        UserError: saying what would divide.
    """
    check_frames(encoder, frames)
    for name, pixels in (("height", height), ("width", width)):
        if pixels < encoder.patch or pixels % encoder.patch:
            lower = pixels // encoder.patch * encoder.patch
            near = " or ".join(str(n) for n in (lower, lower + encoder.patch) if n)
            raise UserError(
                f"the encoder's patches of {encoder.patch} pixels do not divide a {name} of"
                f" {pixels}: {near} would do: change config.data.{name}, or at low fidelity"
                " config.joint.factors.multiple"
            )


def check_frames(encoder: WindowEncoder, frames: int) -> None:
    """Checks that a window can be cut into the encoder's clips; raises as `check`."""
    if frames < encoder.clip or frames % encoder.clip:
        lower = frames // encoder.clip * encoder.clip
        near = " or ".join(str(n) for n in (lower, lower + encoder.clip) if n)
        raise UserError(
            f"the encoder's clips of {encoder.clip} frames do not divide the {frames} of a window"
            f" (snippets x frames): {near} would do: change config.data.snippets or .window,"
            " config.data.frames, or config.joint.factors"
        )
