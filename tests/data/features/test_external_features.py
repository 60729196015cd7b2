"""Features and class scores made elsewhere."""

import json

import h5py
import numpy as np
import pytest

from lofi_jax.data.features import external
from lofi_jax.errors import UserError
from lofi_jax.results import class_scores

FEATURES = np.arange(12, dtype=np.float32).reshape(4, 3)


def write(folder, name, features=FEATURES):
    folder.mkdir(exist_ok=True)
    path = folder / name
    if path.suffix == ".npy":
        np.save(path, features)
    elif path.suffix == ".npz":
        np.savez(path, features=features)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["features"] = features
    else:
        np.savetxt(path, features, delimiter=",", header="f0,f1,f2", comments="")
    return str(folder)


@pytest.mark.parametrize("name", ["a.npy", "v_a.npz", "a.h5", "v_a.csv"])
def test_every_form_reads_the_same(name, tmp_path):
    found = external.read([write(tmp_path, name)], "a", 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, FEATURES)


def test_a_csv_without_names_loses_no_row(tmp_path):
    np.savetxt(tmp_path / "a.csv", FEATURES * 1e-7, delimiter=",")
    np.testing.assert_allclose(external.read([str(tmp_path)], "a", 4), FEATURES * 1e-7, rtol=1e-6)


def test_a_csvs_first_row_that_holds_nan_is_no_line_of_names(tmp_path):
    (tmp_path / "a.csv").write_text("nan,1\n2,3\n")
    with pytest.raises(UserError, match="a.csv: holds a number that is not finite"):
        external.read([str(tmp_path)], "a", 2)


def test_sources_of_any_length_are_resized_and_concatenated(tmp_path):
    rgb = write(tmp_path / "rgb", "a.npy")
    flow = write(tmp_path / "flow", "a.npy", np.arange(8.0)[:, None])
    found = external.read([rgb, flow], "a", 4)
    assert found.shape == (4, 4)
    # Four centres among eight parts lie half way between two of them.
    np.testing.assert_allclose(found[:, 3], [0.5, 2.5, 4.5, 6.5])
    longer = external.read([rgb], "a", 8)
    np.testing.assert_allclose(longer[:, 0], [0, 0.75, 2.25, 3.75, 5.25, 6.75, 8.25, 9])
    one = write(tmp_path / "one", "a.npy", FEATURES[:1])
    np.testing.assert_allclose(external.read([one], "a", 3), FEATURES[[0, 0, 0]])


@pytest.mark.parametrize(
    ("features", "says"),
    [
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.array([[1.0, np.nan]]), "not finite"),
    ],
)
def test_bad_features_are_named(features, says, tmp_path):
    with pytest.raises(UserError, match=rf"a\.npy.*{says}"):
        external.read([write(tmp_path, "a.npy", features)], "a", 4)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(UserError, match="no features of video 'b'"):
        external.read([write(tmp_path, "a.npy")], "b", 4)
    for name in ("c.npy", "d.npz", "e.h5"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(UserError, match=f"{name}: cannot be read"):
            external.read([str(tmp_path)], name[0], 4)
    np.save(tmp_path / "f.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match="f.npy: cannot be read"):
        external.read([str(tmp_path)], "f", 4)


def scores(tmp_path, content):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_class_scores_come_in_the_datasets_order(tmp_path):
    path = scores(tmp_path, {"class": ["run", "jump"], "results": {"a": [0.9, 0.1]}})
    found, missing = class_scores.load(path, ["a", "b"], ("jump", "run"))
    np.testing.assert_allclose(found, [[0.1, 0.9], [0.5, 0.5]])
    assert missing == ["b"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1], "needs the keys"),
        ({"class": ["hop"], "results": {"a": [1.0]}}, "has no class 'jump'"),
        ({"class": ["jump", "run"], "results": {"z": [1, 0]}}, "scores of none of the videos"),
        (
            {"class": ["jump", "run"], "results": {"a": [1]}},
            "'a': not 2 scores of 0 or above",
        ),
    ],
)
def test_bad_class_scores_are_named(content, says, tmp_path):
    with pytest.raises(UserError, match=says):
        class_scores.load(scores(tmp_path, content), ["a"], ("jump", "run"))
