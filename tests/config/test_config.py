"""A config says what is wrong with it before any work starts."""

import json
import pathlib

import pytest
from commands import misused, run

from lofi_jax import config as configs
from lofi_jax.config import defaults, load, named, typed, validate, validate_data
from lofi_jax.config.settings import Named
from lofi_jax.detection.proposals import Suppression
from lofi_jax.errors import UserError
from lofi_jax.run.networks import make_encoder, make_head
from lofi_jax.shipped import shipped


def synthetic():
    c = defaults()
    c.dataset = "synthetic"
    return c


def test_the_defaults_are_the_papers():
    c = typed(defaults())
    assert str(configs.full_fidelity(c)) == "100x224x224"
    assert (c.joint.fidelity, c.joint.batch_size, c.joint.optimizer.learning_rate) == (
        "long_cycle",
        16,
        0.1,
    )
    assert (c.detect.nms_sigma, c.detect.top_k) == (0.84, 100)


def test_a_mean_of_nothing_is_refused():
    c = synthetic()
    c.joint.ema = 0.999
    for group in ("backbone", "adapters", "head"):
        c.joint.optimizer[group].learning_rate_scale = 0.0
    with pytest.raises(UserError, match="so nothing trains: config.joint.ema has no mean to keep"):
        validate(typed(c))


def test_every_head_has_its_authors_suppression_unless_another_is_named():
    c = synthetic()
    c.detect.top_k, c.detect.vote = 7, 0.6
    own = {name: configs.suppression(typed(c), name) for name in ("gtad", "bmn", "actionformer")}
    assert own["gtad"] == Suppression("gaussian", 0.84, 0.5, 0.6, 7)
    assert own["bmn"] == Suppression("gaussian", 0.4, 0.5, 0.6, 7, floor=(0.5, 0.9))
    assert own["actionformer"] == Suppression("gaussian", 0.5, 0.5, 0.6, 7, min_score=0.001)
    c.detect.nms, c.detect.nms_sigma = "gaussian", 0.3
    for name in own:
        assert configs.suppression(typed(c), name) == Suppression("gaussian", 0.3, 0.5, 0.6, 7)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("dataset", "imagenet", "config.dataset is 'imagenet': choose one of synthetic"),
        ("stages", "data,train", "config.stages is 'train': choose one of data, pretrain"),
        ("rows", "acp,scratch", "config.rows: 'scratch': unknown start"),
        ("rows", "acp,lofi:low", "config.rows: 'lofi:low': unknown fidelity.*spatiotemporal"),
        ("rows", "acp:spatial", "config.rows: 'acp:spatial': only lofi alone has a fidelity"),
        ("rows", "acp/ssn", "config.rows: 'acp/ssn': unknown head 'ssn'"),
        ("rows", "acp,acp", "none twice"),
        ("joint.fidelity", "low", "config.joint.fidelity is 'low'.*spatiotemporal"),
        ("joint.factors.temporal", 3, "temporal factor 3 does not divide the 100 snippets"),
        ("data.height", 0, "config.data.height is 0"),
        ("data.window", 64, "config.data.window is 64 .* windows need a rate"),
        ("data.snippets_per_second", 2.0, "config.data.window is 0: .* need a window"),
        ("data.window", -1, "config.data.window is -1"),
        ("data.window_overlap", 1.0, r"config.data.window_overlap is 1.0: it must be in \[0, 1\)"),
        ("source.sampling", "random", "config.source.sampling is 'random': choose one of snippet"),
        ("source.sampling", "dense", "need more than one snippet a clip"),
        ("source.test_subset", "validation", "need more than one snippet a clip"),
        ("encoder.name", "vgg", "config.encoder.name is 'vgg': choose one of tsm_resnet"),
        ("dtype", "float16", "config.dtype is 'float16': choose one of float32, bfloat16"),
        ("joint.keep", "none", "config.joint.keep is 'none': choose one of all, convolutions"),
        ("mesh.parameters", "fsdp", "config.mesh.parameters is 'fsdp': choose one of replicated"),
        ("head.name", "ssn", "config.head.name is 'ssn': choose one of gtad"),
        (
            "detect.nms",
            "soft",
            "config.detect.nms is 'soft': choose one of own, gaussian, linear, hard",
        ),
        ("detect.nms_sigma", 0.0, "config.detect.nms_sigma is 0.0: it must be above 0"),
        ("detect.nms_threshold", 1.5, "config.detect.nms_threshold is 1.5: it must be in .0, 1."),
        (
            "detect.nms_sigma",
            0.5,
            "config.detect.nms_sigma is 0.5 .* has its own value: set nms to one of gau",
        ),
        ("detect.vote", -0.1, "config.detect.vote is -0.1: it must be in .0, 1."),
        ("detect.vote_by", "area", "config.detect.vote_by is 'area': choose one of score_tiou"),
        ("detect.min_score", 0.01, "config.detect.min_score is 0.01 .* its own value"),
        ("joint.ema", 1.0, "config.joint.ema is 1.0: it must be in .0, 1."),
        ("pretrain.label_smoothing", -0.1, "config.pretrain.label_smoothing is -0.1"),
        ("joint.optimizer.adapters.learning_rate_scale", -1.0, "scale is -1.0: it must be at"),
        (
            "head_training.optimizer.head.learning_rate_scale",
            0.0,
            "config.head_training.optimizer freezes head, so nothing trains: set",
        ),
        ("data.hue", 0.7, "config.data.hue is 0.7: it must be in .0, 0.5."),
        ("data.rand_augment", -1, "config.data.rand_augment is -1"),
        ("data.rand_magnitude", 11.0, "config.data.rand_magnitude is 11.0: it must be in .0, 10."),
        ("detect.top_k", 0, "config.detect.top_k is 0: it must be at least 1"),
        ("detect.batch_size", 0, "config.detect.batch_size is 0: it must be at least 1"),
        ("evaluate.tious", "0.5-0.95", "config.evaluate.tious=0.5-0.95: not first:step:last"),
    ],
)
def test_an_impossible_value_is_named_with_the_fix(key, value, says):
    c = synthetic()
    c.joint.fidelity = "temporal"
    c.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=says):
        validate(typed(c))


def test_a_video_folder_needs_videos_and_annotations():
    with pytest.raises(UserError, match="config.data.annotations is empty"):
        validate_data(typed(defaults()))


def test_clips_of_the_target_itself_need_frames_stored_evenly():
    c = defaults()
    c.data.video_dir, c.data.annotations = "videos", "annotations.json"
    c.source.sampling = "uniform"
    with pytest.raises(UserError, match="set config.data.stride to 0"):
        validate(typed(c))
    c.data.stride = 0
    validate(typed(c))


def test_an_unknown_key_is_an_error():
    with pytest.raises(AttributeError, match="learning_rat"):
        defaults().joint.optimizer.learning_rat = 1.0


@pytest.mark.parametrize(("make", "part"), [(make_encoder, "encoder"), (make_head, "head")])
def test_an_unknown_option_of_a_module_names_the_key(make, part):
    c = synthetic()
    c[part] = named(c[part].name, depth=3)
    with pytest.raises(UserError, match=f"config.{part}: .*depth"):
        make(typed(c)) if part == "encoder" else make(typed(c), c.head.name, 6)


@pytest.mark.parametrize(
    "name", ["pretrain.batch_size", "joint.batch_size", "joint.accumulate", "classifier.batch_size"]
)
def test_numbers_below_the_least_are_refused(name):
    c, (part, key) = synthetic(), name.split(".")
    c[part][key] = 0
    with pytest.raises(UserError, match=f"config.{name} is 0: it must be at least 1"):
        configs.validate(typed(c))


def test_keys_that_an_older_config_lacks_have_their_defaults():
    old = json.loads(configs.to_json(typed(synthetic())))
    del old["evaluate"], old["detect"]["nms"]
    old["detect"]["top_k"] = 7
    old["encoder"] = {"name": "tsm_resnet50"}
    config = configs.from_json(json.dumps(old))
    assert (config.detect.nms, config.detect.top_k, config.evaluate.tious) == ("own", 7, "")
    assert config.encoder == Named("tsm_resnet50")
    assert configs.differing_keys(config, typed(synthetic())).keys() == {
        "detect.top_k",
        "encoder.name",
    }


def test_only_keys_that_change_results_count_as_different():
    old, new = typed(synthetic()), synthetic()
    assert configs.from_json(configs.to_json(old)) == old
    new.stages, new.data.workers, new.log.every = "detect", 2, 1
    new.joint.chunk, new.joint.keep, new.extract.chunk = 5, "blocks", 5
    assert configs.differing_keys(old, typed(new)) == {}
    new.joint.optimizer.learning_rate, new.seed = 0.2, 1
    assert configs.differing_keys(old, typed(new)) == {
        "joint.optimizer.learning_rate": (0.1, 0.2),
        "seed": (0, 1),
    }


@pytest.mark.parametrize("path", sorted(pathlib.Path("configs").glob("*.py")), ids=str)
def test_every_config_file_builds_and_is_possible(path):
    scope = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    c = scope["get_config"]()
    if c.dataset == "video_folder":
        c.data.video_dir, c.data.annotations = "videos", "annotations.json"
    made = typed(c)
    validate(made)
    make_encoder(made), make_head(made, c.head.name, 2)
    assert f" --config={path} --workdir=" in scope["__doc__"]


def test_a_shipped_config_goes_by_its_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load("study").rows.startswith("acp,icp,acp_plus,lofi:spatial")
    c = load("paper/hacs:head=bmn,fidelity=spatial")
    assert (c.dataset, c.head.name, c.joint.fidelity) == ("hacs", "bmn", "spatial")
    assert list(shipped()) == [
        *("adatad/activitynet", "adatad/hacs", "adatad/thumos14", "falls", "features/thumos14"),
        *("paper/activitynet", "paper/hacs", "paper/thumos14"),
        *("speech", "speech_transformer", "study", "synthetic", "transformer", "video_folder"),
    ]


def test_a_path_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "synthetic"
    file.write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config(word='none'): return ConfigDict({'word': word})"
    )
    assert load("synthetic").word == load(str(file)).word == "none"
    assert load("synthetic:a:b").word == "a:b"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("def get_config():\n    pass", "get_config() returned None, not a ConfigDict"),
        ("import sys\nsys.exit(3)", "the file ends the program (exit code 3)"),
        ("def get_config():\n    raise SystemExit", "the file ends the program (exit code None)"),
    ],
)
@pytest.mark.parametrize("apart", [True, False])
def test_a_config_file_that_gives_none_is_one_line(program, says, apart, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(program)
    flag = ["--config", str(file)] if apart else [f"--config={file}"]
    assert misused(run("doctor", *flag, f"--workdir={tmp_path}"), says, str(file))


@pytest.mark.parametrize(
    ("name", "says"),
    [("synthtic", "did you mean synthetic"), ("my/own.py", "there are adatad/activitynet, ")],
)
def test_an_unknown_config_is_one_line_that_lists_those_there_are(name, says):
    with pytest.raises(UserError, match=f"^--config={name}: no such file, .*{says}.*, synthetic,"):
        load(name)


def test_a_key_that_no_config_has_is_refused_at_any_depth():
    for part in ((), ("joint",), ("joint", "optimizer")):
        c = synthetic().unlock()
        inner = c
        for key in part:
            inner = inner[key]
        inner.later = 1
        with pytest.raises(UserError, match=f"{'.'.join(('config', *part))} has no key 'later': b"):
            typed(c)
