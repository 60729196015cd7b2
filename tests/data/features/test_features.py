"""Features on disk: whose they are, what goes on after a kill, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from keys import changed

from lofi_jax import config as configs
from lofi_jax.data.features import fingerprints
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.errors import UserError
from lofi_jax.jobs import detection
from lofi_jax.jobs.extraction import extract_features
from lofi_jax.run import datasets
from lofi_jax.run import features as run_features
from lofi_jax.run.start import Run
from lofi_jax.run.workdir import Workdir
from lofi_jax.training.sharding import make_mesh

PRINT = {"encoder.name": "tsm_resnet18", "data.snippets": 4, "weights": "0f"}


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path / "features" / "acp")
    store.begin("acp", PRINT)
    return store


def test_a_finished_store_reads_as_documented(store):
    arrays = {"a": np.arange(8.0).reshape(4, 2), "b": np.ones((2, 2))}
    for name, array in arrays.items():
        store.write(name, array)
    assert not store.is_finished() and store.missing(["a", "c", "b"]) == [1]
    store.finish(["a", "b"])
    store.require(PRINT)
    described = json.loads((store.folder / "features.json").read_text())
    assert described["encoder"] == "acp" and described["fingerprint"] == PRINT
    assert described["width"] == 2
    rows = np.concatenate(list(arrays.values()))
    np.testing.assert_allclose(described["mean"], rows.mean(axis=0))
    np.testing.assert_allclose(described["std"], rows.std(axis=0))
    read = np.load(store.folder / "a.npy")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, arrays["a"])
    standard = np.concatenate([store.standardise(store.read(name)) for name in arrays])
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=1e-4)


def test_the_same_fingerprint_goes_on_and_another_one_is_refused_by_what_differs(store):
    store.write("a", np.ones((4, 2)))
    store.begin("acp", dict(reversed(PRINT.items())))
    with pytest.raises(UserError) as error:
        store.begin("acp", PRINT | {"data.snippets": 8, "weights": "1e"})
    said = str(error.value)
    assert str(store.folder) in said and "delete this folder" in said
    assert "data.snippets: 4, now 8; weights: 0f, now 1e" in said and "encoder.name" not in said
    with pytest.raises(UserError, match="no finished features"):
        store.require(PRINT)


def test_features_of_unknown_origin_are_refused(store, tmp_path):
    store.write("a", np.ones((4, 2)))
    (store.folder / "features.json").unlink()
    with pytest.raises(UserError, match=r"acp: holds features without a features\.json"):
        store.begin("acp", PRINT)
    other = FeatureStore(tmp_path / "other")
    other.begin("acp", {})
    with pytest.raises(UserError, match="encoder.name: none, now tsm_resnet18"):
        other.begin("acp", PRINT)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: '{"encoder": "acp", "mean": [0, 0]}',
        lambda text: text[:5],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace("1.0", "1.5"),
    ],
)
def test_features_of_a_damaged_description_are_made_again(tmp_path, capsys, damage):
    store = FeatureStore(tmp_path / "acp")
    store.begin("acp", PRINT)
    store.write("a", np.ones((4, 2)))
    store.finish(["a"])
    path = store.folder / "features.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=r"features\.json: .*delete the folder"):
        store.check(PRINT)
    store.begin("acp", PRINT)
    assert store.missing(["a"]) == [0]
    assert "features.json: is damaged, so all features" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "{}"])
def test_a_damaged_description_has_one_remedy(tmp_path, content):
    store = FeatureStore(tmp_path)
    store.description.write_text(content)
    with pytest.raises(UserError) as caught:
        store.is_finished()
    assert str(caught.value).count("delete") == 1


def test_a_number_that_is_not_finite_is_made_again(tmp_path, capsys):
    store = FeatureStore(tmp_path / "acp")
    store.begin("acp", PRINT)
    for name, value in (("a", 1.0), ("b", np.nan)):
        store.write(name, np.full((4, 2), value))
    with pytest.raises(UserError, match=r"b\.npy: damaged: holds a number that is not finite"):
        store.read("b")
    assert store.missing(["a", "b"]) == [1]
    assert "b.npy: is damaged" in capsys.readouterr().err


def flip(path, at):
    """Flips a bit."""
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def test_an_array_that_is_no_video_is_named(store):
    store.write("a", np.ones(3))
    with pytest.raises(UserError, match=r"a\.npy: damaged: holds float32 of shape \(3,\)"):
        store.read("a")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-5]), "cannot be read as features"),
        (lambda path: path.write_bytes(bytes(300)), "cannot be read as features"),
        (lambda path: flip(path, -9), "cannot be read as features .not as it was written"),
        (lambda path: flip(path, -1), "cannot be read as features .not as it was written"),
        (lambda path: np.save(path, np.ones((4, 2), np.float32)), "cannot be read as features"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(store, damage, says):
    store.write("a", np.ones((4, 2)))
    damage(store.path("a"))
    with pytest.raises(UserError, match=rf"a\.npy: {says}.*run the stage extract again"):
        store.read("a")


def test_fingerprints_of_arrays_tell_any_change_and_no_order():
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.float32(1)}
    same = fingerprints.of_arrays(arrays)
    assert fingerprints.of_arrays(dict(reversed(arrays.items()))) == same
    for other in (
        arrays | {"b": np.float32(1 + 1e-7)},
        arrays | {"a": arrays["a"].T},
        arrays | {"a": arrays["a"].astype(np.float32)},
        arrays | {"c": np.zeros(0)},
        {"a": arrays["a"], "c": arrays["b"]},
    ):
        assert fingerprints.of_arrays(other) != same


@pytest.fixture
def a_run(finished_run, tmp_path):
    """A copy of a finished run, opened with some keys changed."""
    workdir = shutil.copytree(finished_run[0], tmp_path / "run")

    def opened(**changes) -> Run:
        stored = configs.from_json((workdir / "config.json").read_text())
        return Run(changed(stored, changes), Workdir(workdir), make_mesh(1, 1))

    return opened


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_extraction_goes_on_with_what_is_missing_to_the_same_bytes(a_run):
    run = a_run()
    folder = run.workdir.features("acp")
    shutil.rmtree(folder)
    extract_features(run, "acp")
    before = contents(folder)
    for path in sorted(folder.glob("*.npy"))[2:9:3]:
        path.unlink()
    (folder / "features.json").unlink()
    begun = FeatureStore(folder.with_name("begun"))
    begun.begin("acp", json.loads(before["features.json"])["fingerprint"])
    (begun.folder / "features.json").rename(folder / "features.json")
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    extract_features(run, "acp")
    assert contents(folder) == before
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_features_of_a_replaced_checkpoint_are_refused_by_every_stage(a_run):
    run = a_run()
    encoders = run.workdir.root / "encoders"
    shutil.rmtree(encoders / "acp")
    shutil.copytree(encoders / "lofi_temporal_gtad", encoders / "acp")
    for use in (
        lambda: extract_features(run, "acp"),
        lambda: detection.detect_in_test_videos(run, configs.rows_of(run.config)[0]),
    ):
        with pytest.raises(UserError, match=r"features/acp: holds the features.*\(weights: "):
            use()


def test_features_of_other_sampling_are_refused_by_key(a_run):
    run = a_run(**{"data.quality": 50})
    with pytest.raises(UserError, match=r"\(data\.quality: 95, now 50\)"):
        extract_features(run, "acp")


def test_concatenated_features_are_as_good_as_their_parts(a_run):
    run = a_run()
    extract_features(run, "acp+lofi_temporal_gtad")
    joined = run_features.store(run, "acp+lofi_temporal_gtad")
    parts = [run_features.store(run, part) for part in ("acp", "lofi_temporal_gtad")]
    video = "target_testing_00000"
    np.testing.assert_array_equal(
        joined.read(video), np.concatenate([part.read(video) for part in parts], axis=1)
    )
    described = json.loads((joined.folder / "features.json").read_text())["fingerprint"]
    described["acp: weights"] = "0f"
    with pytest.raises(UserError, match="acp: weights: .*, now 0f"):
        joined.check(described)


def test_heads_may_see_the_features_as_they_are_stored(a_run):
    raw = a_run(**{"head_training.standardise": False})
    subset = datasets.target(raw).test_videos
    stored = run_features.store(raw, "acp").read(subset[0].video_id)
    seen = run_features.of_videos(raw, "acp", subset, raw.config.head_training.standardise)[0]
    np.testing.assert_array_equal(seen["features"], stored)
    row = configs.rows_of(raw.config)[0]
    raw.workdir.detections(row).unlink()
    detection.detect_in_test_videos(raw, row)
    unlike = detection.load_detections(raw, row)
    standard = a_run()
    # These two settings would never meet in one workdir, so nothing else would make it detect
    # again.
    raw.workdir.detections(row).unlink()
    detection.detect_in_test_videos(standard, row)
    assert detection.load_detections(standard, row) != unlike
