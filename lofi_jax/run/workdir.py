"""What a config names, made: the run's folders and devices, its encoder and its head."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from lofi_jax import config as configs
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, HEADS, chunked
from lofi_jax.training import processes
from lofi_jax.training.checkpoints import load_state
from lofi_jax.training.loop import Logging
from lofi_jax.training.sharding import DATA, SNIPPET, make_mesh, over_mesh


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One config in one workdir on one mesh of devices."""

    config: ConfigDict
    workdir: pathlib.Path
    mesh: Mesh

    @property
    def logging(self) -> Logging:
        return Logging(self.config.log.every, self.config.log.checkpoint_seconds)


def start_run(config: ConfigDict, workdir: str) -> Run:
    """Checks the config and the workdir, chooses the devices and the cache of compiled programs.

    Must run before JAX is used.

    Raises:
        UserError: an impossible config, a workdir that cannot be written, or one that holds another config's run.
    """
    configs.validate(config)
    configs.validate_data(config)
    check_models(config)
    folder = pathlib.Path(workdir).absolute()
    run = open_run(config, folder)
    if processes.is_first():
        _claim(folder, config)
    processes.wait("workdir claimed")
    return run


def check_models(config: ConfigDict) -> None:
    """Makes all modules that the config names.

    Raises:
        UserError: options that one of them does not have.
    """
    make_encoder(config)
    for row in configs.rows_of(config):
        make_head(config, row.head, classes=1)


def open_run(config: ConfigDict, folder: pathlib.Path) -> Run:
    """Chooses the devices and the cache of compiled programs. Must run before JAX is used."""
    if jax.config.jax_num_cpu_devices != config.mesh.cpu_devices:
        jax.config.update("jax_num_cpu_devices", config.mesh.cpu_devices)
    jax.config.update("jax_compilation_cache_dir", config.log.cache_dir or str(folder / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return Run(config, folder, make_mesh(config.mesh.data, config.mesh.snippet))


def load_run(workdir: str) -> Run:
    """The run that a workdir holds, on all devices at hand. Must run before JAX is used.

    Raises:
        UserError: it holds none.
    """
    folder = pathlib.Path(workdir).absolute()
    config = stored_config(workdir)
    if config is None:
        raise UserError(f"{folder}: holds no run ({_CONFIG} is missing): train one there first")
    # Whatever devices it was trained on.
    config.mesh.data, config.mesh.snippet = -1, 1
    return open_run(config, folder)


_CONFIG = "config.json"


def stored_config(workdir: str) -> ConfigDict | None:
    """The config of the run that a workdir holds, if it holds one."""
    path = pathlib.Path(workdir) / _CONFIG
    return configs.from_json(path.read_text()) if path.is_file() else None


def _claim(folder: pathlib.Path, config: ConfigDict) -> None:
    """Writes the config into the workdir, or compares it with the one that is there."""
    path = folder / _CONFIG
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            differing = configs.differing_keys(configs.from_json(path.read_text()), config)
            if differing:
                changes = "; ".join(f"{k}: {a!r} -> {b!r}" for k, (a, b) in differing.items())
                raise UserError(
                    f"{folder} holds a run of another config ({changes}): name another --workdir,"
                    " or change these keys back"
                )
        part = path.with_suffix(".part")
        part.write_text(configs.to_json(config))
        part.replace(path)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}): name another --workdir"
        ) from error


def make_encoder(config: ConfigDict):
    """The encoder module that the config names."""
    computed = {"dtype": jnp.dtype(config.dtype), "remat": config.joint.keep == "blocks"}
    return _make(ENCODERS, config.encoder, "encoder", **computed)


def make_head(config: ConfigDict, name: str, classes: int):
    """A head module by name, with the config's options for it; one that classifies gets the number of classes."""
    settings = config.head
    if name != settings.name:
        settings = ConfigDict({"name": name, **config.other_heads.get(name, {})})
    return _make(HEADS, settings, "head", **{"classes": classes} if HEADS[name].classifies else {})


def apply_head(head, config: ConfigDict, params, features: Float[Array, "B L C"]):
    """The head's raw outputs, computed in the config's dtype."""
    dtype = jnp.dtype(config.dtype)
    cast = jax.tree.map(lambda x: jnp.asarray(x, dtype), params)
    return head.apply({"params": cast}, features.astype(dtype))


def apply_heads(run: Run, head, parts: int = 1):
    """A function (head parameters, features (B, L, C)) -> raw outputs, the videos spread over the mesh.

    Devices that share a video work on its whole length: the head is small.

    Args:
        parts: see `chunked.in_parts`.
    """

    def apply(params, features):
        return chunked.in_parts(lambda x: apply_head(head, run.config, params, x), features, parts)

    return over_mesh(apply, run.mesh, DATA)


def _make(known, settings: ConfigDict, key: str, **options):
    options |= {
        k: tuple(v) if isinstance(v, list) else v for k, v in settings.items() if k != "name"
    }
    try:
        return known[settings.name](**options)
    except TypeError as error:
        raise UserError(
            f"config.{key}: {settings.name} cannot be made with {options} ({error})"
        ) from error


def encode_videos(run: Run, chunk: int, keep: str = "all", parts: int = 1):
    """A function (encoder variables, frames (B, L, T, H, W, 3)) -> features (B, L, C), spread over the mesh.

    Args:
        chunk, keep, parts: see `chunked.encode`.
    """
    encoder = make_encoder(run.config)

    def encode(variables, frames):
        return chunked.encode(lambda x: encoder.apply(variables, x), frames, chunk, keep, parts)

    return over_mesh(encode, run.mesh, DATA, SNIPPET)


def initial_encoder(config: ConfigDict, key) -> dict:
    """Fresh encoder variables: "params" and "batch_stats"."""
    shape = (1, config.data.frames, config.data.height, config.data.width, 3)
    return jax.jit(make_encoder(config).init)(key, jnp.zeros(shape, jnp.uint8))


def feature_width(config: ConfigDict) -> int:
    """Channels of the encoder's features."""
    encoder = make_encoder(config)
    frames = jax.ShapeDtypeStruct(
        (1, config.data.frames, config.data.height, config.data.width, 3), jnp.uint8
    )
    features = jax.eval_shape(lambda x: encoder.init_with_output(jax.random.key(0), x)[0], frames)
    return features.shape[-1]


def load_encoder(path: str | pathlib.Path) -> dict:
    """Encoder variables from any training's checkpoint.

    Raises:
        UserError: there is no checkpoint, or it holds no encoder.
    """
    state = load_state(path)
    if "encoder" not in state["params"]:
        raise UserError(f"{path}: holds no encoder (its parts: {', '.join(state['params'])})")
    return {"params": state["params"]["encoder"], "batch_stats": state["statistics"]}


def load_own_encoder(config: ConfigDict, path: str | pathlib.Path) -> dict:
    """Encoder variables from a checkpoint, which must be of the config's own encoder.

    Raises:
        UserError: as `load_encoder`, or it holds another encoder.
    """
    loaded = load_encoder(path)
    wanted = jax.eval_shape(lambda: initial_encoder(config, jax.random.key(0)))
    there, here = (
        {name: x.shape for name, x in flatten_dict(tree, sep=".").items()}
        for tree in (loaded, wanted)
    )
    if there != here:
        name = next(name for name in {**here, **there} if there.get(name) != here.get(name))
        raise UserError(
            f"{path}: holds another encoder than config.encoder ({config.encoder.name}): {name} is"
            f" {there.get(name, 'missing')}, not {here.get(name, 'expected')}"
        )
    return loaded


def steps_for(epochs: float, examples: int, batch_size: int) -> int:
    """Steps of training: at least one."""
    return max(round(epochs * examples / batch_size), 1)
