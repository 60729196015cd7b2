"""Checkpoints that do not fit the config are refused by name; a run opens on any devices."""

import dataclasses
import gc
import json
import weakref

import jax
import numpy as np
import pytest
import tiny

from lofi_jax import config as configs
from lofi_jax.config import defaults, named, typed
from lofi_jax.errors import UserError
from lofi_jax.jobs import pipeline
from lofi_jax.run import start
from lofi_jax.run.checkpoints import load_own_encoder
from lofi_jax.run.networks import initial_encoder
from lofi_jax.run.start import Run, load_run
from lofi_jax.run.workdir import Workdir
from lofi_jax.training.checkpoints import save_state
from lofi_jax.training.sharding import make_mesh


def config(**options):
    c = defaults()
    c.data.frames, c.data.height, c.data.width = 2, 8, 8
    c.encoder = named("tsm_resnet", stage_sizes=(1,), stem="small", **options)
    return typed(c)


def test_a_cpu_keeps_compiled_programs_only_where_it_is_told_to(tmp_path, monkeypatch):
    """Those that it reads again have crashed and computed other numbers."""
    told = []
    monkeypatch.setattr(jax.config, "update", lambda key, value: told.append((key, value)))
    tiny_config, workdir = typed(tiny.get_config()), Workdir(tmp_path)
    start.keep_compiled(tiny_config, workdir)
    assert told == []
    kept = dataclasses.replace(tiny_config.log, cache_dir=str(tmp_path / "kept"))
    start.keep_compiled(dataclasses.replace(tiny_config, log=kept), workdir)
    assert ("jax_compilation_cache_dir", str(tmp_path / "kept")) in told


def test_a_checkpoint_must_hold_the_configs_own_encoder(tmp_path):
    variables = initial_encoder(config(widths=(8,)), jax.random.key(0))
    params = {"encoder": variables["params"]}
    save_state(tmp_path / "encoder", params, variables["batch_stats"])
    loaded = load_own_encoder(config(widths=(8,)), tmp_path / "encoder")
    same = jax.tree.map(lambda a, b: (a == b).all(), loaded, dict(variables))
    assert jax.tree.all(same)
    with pytest.raises(
        UserError, match=r"an encoder other than config.encoder.*is \(8,\), not \(16,\)"
    ):
        load_own_encoder(config(widths=(16,)), tmp_path / "encoder")


def test_a_head_alone_is_no_encoder(tmp_path):
    save_state(tmp_path, {"head": {"bias": jax.numpy.zeros(1)}}, {})
    with pytest.raises(UserError, match="holds no encoder"):
        load_own_encoder(config(widths=(8,)), tmp_path)


def test_a_run_opens_on_other_devices_than_it_was_trained_on(tmp_path):
    c = tiny.get_config()
    c.mesh.data, c.mesh.snippet, c.mesh.cpu_devices = 64, 4, jax.device_count()
    c.log.cache_dir = jax.config.jax_compilation_cache_dir
    (tmp_path / "config.json").write_text(configs.to_json(typed(c)))
    assert load_run(str(tmp_path)).mesh.size == jax.device_count()


def test_what_is_made_once_is_made_of_names_and_goes_with_its_run(tmp_path):
    def make(run, *names):
        made.append(names)
        return np.zeros(1)

    made = []
    run = Run(config(widths=(8,)), Workdir(tmp_path), make_mesh(1, 1, jax.devices()[:1]))
    assert run.once(make, "acp") is run.once(make, "acp") is not run.once(make, "lofi")
    assert made == [("acp",), ("lofi",)]
    kept = weakref.ref(run.once(make, "acp"))
    del run
    gc.collect()
    assert kept() is None


def test_a_config_of_another_version_is_refused_by_the_key_that_is_unknown(tmp_path):
    plain = json.loads(configs.to_json(config()))
    plain["joint"]["later"] = 1
    (tmp_path / "config.json").write_text(json.dumps(plain))
    says = "config.json: config.joint has no key 'later', so another version of lofi_jax wrote it"
    with pytest.raises(UserError, match=says):
        load_run(tmp_path)


@pytest.mark.parametrize("content", ['{"head": -7195.0}', '{"head": true}', "[]", "{"])
def test_damaged_seconds_are_none(tmp_path, capsys, content):
    (tmp_path / "seconds.json").write_text(content)
    run = Run(config(), Workdir(tmp_path), make_mesh(1, 1, jax.devices()[:1]))
    assert pipeline._seconds(run) == {}
    assert "the times of earlier runs are lost" in capsys.readouterr().err
