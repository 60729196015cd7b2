"""Checks, before any work, that batches and videos divide evenly over devices, microbatches and
chunks.
"""

from collections.abc import Sequence

from jax.sharding import Mesh

from lofi_jax import config as configs
from lofi_jax.config import Config
from lofi_jax.config.settings import Joint
from lofi_jax.errors import UserError
from lofi_jax.fidelity import Fidelity
from lofi_jax.run.networks import classifies
from lofi_jax.training.sharding import DATA, SNIPPET, local_mesh


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
    _divides("head_training.batch_size", config.head_training.batch_size, data, "devices")
    if not config.classifier.file and not all(classifies(row.head) for row in table):
        _divides("classifier.batch_size", config.classifier.batch_size, data, "devices")
    for row in table:
        if row.start == "lofi":
            check_joint(config.joint, mesh, configs.fidelities(config, row.fidelity))
    if any(row.start != "external" for row in table):
        local = local_mesh(mesh).shape[DATA]
        videos = -(-config.extract.batch_size // local)
        length = _split(configs.full_fidelity(config).snippets, snippet)
        _chunk("extract.chunk", config.extract.chunk, videos * length)


def check_joint(settings: Joint, mesh: Mesh, at: Sequence[Fidelity]) -> None:
    """Checks the joint stage at the given fidelities; raises as `check`."""
    data = mesh.shape[DATA]
    _divides("joint.batch_size", settings.batch_size, data, "devices")
    videos = settings.batch_size // data
    _divides("joint.batch_size", videos, settings.accumulate, "microbatches of joint.accumulate")
    for low in at:
        length = _split(low.snippets, mesh.shape[SNIPPET])
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
            f"config.{key}: a chunk of {chunk} snippets does not divide the {snippets} that a"
            " device"
            " holds: change it, or set it to 0 for all"
        )
