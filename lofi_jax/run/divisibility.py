"""Checks, before any work, that batches and videos divide evenly over devices, microbatches and
chunks.
"""

from collections.abc import Sequence

from jax.sharding import Mesh

from lofi_jax import config as configs
from lofi_jax.config import Config
from lofi_jax.errors import UserError, as_usage
from lofi_jax.fidelity import Fidelity
from lofi_jax.models.protocols import WindowEncoder
from lofi_jax.run.networks import classifies, make_encoder, pieces
from lofi_jax.training.sharding import DATA, SNIPPET, local_mesh


@as_usage()
def check(config: Config, mesh: Mesh) -> None:
    """Checks every stage that the config's rows need.

    Raises:
        UserError: naming the key that does not divide.
    """
    table = configs.rows_of(config)
    data, snippet = mesh.shape[DATA], mesh.shape[SNIPPET]
    if any(row.start not in ("external", "icp") for row in table):
        _divides("pretrain.batch_size", config.pretrain.batch_size, data * snippet, "devices")
    if any("acp_plus" in row.start for row in table):
        _divides("fine_tune.batch_size", config.fine_tune.batch_size, data * snippet, "devices")
    _check_clips(config)
    _divides("head_training.batch_size", config.head_training.batch_size, data, "devices")
    if not config.classifier.file and not all(classifies(row.head) for row in table):
        _divides("classifier.batch_size", config.classifier.batch_size, data, "devices")
    for row in table:
        if row.start == "lofi":
            check_joint(config, mesh, configs.fidelities(config, row.fidelity))
    if any(row.start != "external" for row in table):
        local = local_mesh(mesh).shape[DATA]
        videos = -(-config.extract.batch_size // local)
        length = _split(pieces(config, configs.full_fidelity(config)), snippet)
        _chunk("extract.chunk", config.extract.chunk, videos * length)


def _check_clips(config: Config) -> None:
    """Checks that an encoder of windows can see the clips of stage 1, where a row needs it."""
    encoder, frames, starts = make_encoder(config), config.data.frames, trained_starts(config)
    if starts and isinstance(encoder, WindowEncoder) and frames % encoder.clip:
        raise UserError(
            f"config.data.frames is {frames}, and stage 1 ({min(starts)}) trains on clips of that"
            f" length, which the encoder's clips of {encoder.clip} do not divide: set it to a"
            " multiple, or name a trained encoder in config.encoder_checkpoint"
        )


def trained_starts(config: Config) -> set[str]:
    """The encoders of stage 1 that the config's rows need and that are not given."""
    starts = {start for row in configs.rows_of(config) for start in row.start.split("+")}
    starts |= {config.joint.start} if "lofi" in starts else set()
    return starts - {"lofi", "icp", "external", *(["acp"] if config.encoder_checkpoint else [])}


def check_joint(config: Config, mesh: Mesh, at: Sequence[Fidelity]) -> None:
    """Checks the joint stage at the given fidelities; raises as `check`."""
    settings, data = config.joint, mesh.shape[DATA]
    _divides("joint.batch_size", settings.batch_size, data, "devices")
    videos = settings.batch_size // data
    _divides("joint.batch_size", videos, settings.accumulate, "microbatches of joint.accumulate")
    for low in at:
        length = _split(pieces(config, low), mesh.shape[SNIPPET])
        _chunk("joint.chunk", settings.chunk, videos * length)


def _divides(key: str, number: int, parts: int, what: str) -> None:
    if number % parts:
        raise UserError(
            f"config.{key}: {number} is not divisible by {parts} {what}: change it, or config.mesh"
        )


def _split(snippets: int, devices: int) -> int:
    """The snippets of a video that one device holds."""
    if snippets % devices:
        raise UserError(
            f"config.mesh.snippet: {snippets} snippets cannot be spread over {devices} devices:"
            " change it, or the fidelity's temporal factor"
        )
    return snippets // devices


def _chunk(key: str, chunk: int, snippets: int) -> None:
    if chunk and snippets % chunk:
        raise UserError(
            f"config.{key}: a chunk of {chunk} snippets (of an encoder of windows: clips) does not"
            f" divide the {snippets} that a device holds: change it, or set it to 0 for all"
        )
