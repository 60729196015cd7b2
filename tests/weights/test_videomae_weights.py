"""VideoMAE's public checkpoints made ours, in each of their layouts; which files are refused."""

import functools

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS
from lofi_jax.models.encoders.videomae import VideoMAE
from lofi_jax.training.checkpoints import load_state
from lofi_jax.weights import convert

SMALL = functools.partial(VideoMAE, width=16, depth=2, heads=2)
WIDE = functools.partial(VideoMAE, width=24, depth=2, heads=2)


@pytest.fixture(autouse=True)
def thin_encoders(monkeypatch):
    """Thin networks under the public names."""
    monkeypatch.setitem(ENCODERS, "videomae_small", SMALL)
    monkeypatch.setitem(ENCODERS, "videomae_base", WIDE)
    monkeypatch.setattr(convert, "ENCODER_NAMES", ("videomae_small", "videomae_base"))


def official(width=16, depth=2, patch=16):
    """The arrays of a classifier of its authors'."""
    rng = np.random.default_rng(0)
    hidden = 4 * width
    shapes = {
        "patch_embed.proj.weight": (width, 3, 2, patch, patch),
        "patch_embed.proj.bias": (width,),
    }
    for i in range(depth):
        of_block = {
            "norm1.weight": (width,),
            "norm1.bias": (width,),
            "attn.qkv.weight": (3 * width, width),
            "attn.q_bias": (width,),
            "attn.v_bias": (width,),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "norm2.weight": (width,),
            "norm2.bias": (width,),
            "mlp.fc1.weight": (hidden, width),
            "mlp.fc1.bias": (hidden,),
            "mlp.fc2.weight": (width, hidden),
            "mlp.fc2.bias": (width,),
        }
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in of_block.items()}
    shapes |= {f"fc_norm.{kind}": (width,) for kind in ("weight", "bias")}
    shapes |= {"head.weight": (5, width), "head.bias": (5,)}
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def renamed(arrays, *pairs):
    out = {}
    for key, array in arrays.items():
        for old, new in pairs:
            key = key.replace(old, new)
        out[key] = array
    return out


def mmaction2(arrays):
    pairs = (("patch_embed.proj.", "patch_embed.projection."), ("fc1.", "layers.0.0."))
    out = renamed(arrays, *pairs, ("fc2.", "layers.1."), ("head.", "cls_head.fc_cls."))
    out = {k if k.startswith("cls_head") else f"backbone.{k}": v for k, v in out.items()}
    return out | {"backbone.pos_embed": np.zeros((1, 1568, 16), np.float32)}


def hugging_face(arrays, biases=("q_bias", "v_bias")):
    out = renamed(
        arrays,
        ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
        ("blocks.", "encoder.layer."),
        ("norm1.", "layernorm_before."),
        ("norm2.", "layernorm_after."),
        ("attn.proj.", "attention.output.dense."),
        ("mlp.fc1.", "intermediate.dense."),
        ("mlp.fc2.", "output.dense."),
        ("attn.q_bias", f"attention.attention.{biases[0]}"),
        ("attn.v_bias", f"attention.attention.{biases[1]}"),
        ("head.", "classifier."),
    )
    for key in [key for key in out if key.endswith("attn.qkv.weight")]:
        three = zip(("query", "key", "value"), np.split(out.pop(key), 3), strict=True)
        start = key.removesuffix("attn.qkv.weight") + "attention.attention."
        out |= {f"{start}{name}.weight": np.ascontiguousarray(part) for name, part in three}
    apart = ("fc_norm", "classifier")
    return {k if k.startswith(apart) else f"videomae.{k}": v for k, v in out.items()}


LAYOUTS = {
    "VideoMAE's authors'": lambda arrays: arrays,
    "mmaction2's VideoMAE": mmaction2,
    "Hugging Face's VideoMAE": hugging_face,
    "Hugging Face's VideoMAE, as its library 5 writes it": functools.partial(
        hugging_face, biases=("query.bias", "value.bias")
    ),
}


def converted(arrays, tmp_path, name="videomae_small"):
    save_file(arrays, tmp_path / "x.safetensors")
    said = convert.encoder(tmp_path / "x.safetensors", name, tmp_path / "out")
    return load_state(tmp_path / "out")["params"]["encoder"], said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_stacked_backbone(layout, tmp_path):
    arrays = official()
    found, said = converted(LAYOUTS[layout](arrays), tmp_path)
    assert layout.split(",")[0] in said and "missing: none" in said
    assert "a classification layer (" in said and "the norm before it (" in said
    shape = jax.ShapeDtypeStruct((1, 16, 16, 16, 3), np.uint8)
    wanted = jax.eval_shape(SMALL().init, jax.random.key(0), shape)["params"]
    assert jax.tree.map(np.shape, found) == jax.tree.map(np.shape, wanted)
    of = flatten_dict(found, sep=".")
    for i in range(2):
        np.testing.assert_array_equal(
            of["blocks.attn.qkv.kernel"][i], arrays[f"blocks.{i}.attn.qkv.weight"].T
        )
        np.testing.assert_array_equal(
            of["blocks.attn.v_bias"][i], arrays[f"blocks.{i}.attn.v_bias"]
        )
        np.testing.assert_array_equal(
            of["blocks.norm2.scale"][i], arrays[f"blocks.{i}.norm2.weight"]
        )
    np.testing.assert_array_equal(
        of["patch_embed.kernel"], arrays["patch_embed.proj.weight"].transpose(2, 3, 4, 1, 0)
    )


def test_below_module_as_v2s_files_have_it(tmp_path):
    torch = pytest.importorskip("torch", reason="writing a .pth file needs the extra [torch]")
    arrays = {key: torch.from_numpy(array) for key, array in official().items()}
    torch.save({"module": arrays}, tmp_path / "x.pth")
    said = convert.encoder(tmp_path / "x.pth", "videomae_small", tmp_path / "out")
    assert "VideoMAE's authors'" in said and (tmp_path / "out").is_dir()


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"width": 24}, "use --encoder=videomae_base"),
        ({"depth": 3}, r"without a place: 13 \(blocks.2.attn.proj.bias"),
        ({"depth": 1}, r"missing: 13 \(blocks.1."),
        (
            {"patch": 14},
            r"unfit: 1 \(patch_embed.proj.weight 2 x 14 x 14 x 3 x 16 instead of 2 x 16",
        ),
    ],
)
def test_weights_of_another_width_depth_or_patch_are_refused(sizes, says, tmp_path):
    with pytest.raises(
        UserError, match=f"holds no videomae_small as VideoMAE's authors'; .*{says}"
    ):
        converted(official(**sizes), tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_heads_are_the_names_whatever_a_config_beside_the_file_says(tmp_path):
    (tmp_path / "config.json").write_text('{"num_attention_heads": 16, "layer_norm_eps": 1e-12}')
    found, _ = converted(hugging_face(official()), tmp_path)
    frames = np.random.default_rng(1).integers(0, 256, (1, 16, 16, 16, 3), np.uint8)
    two, eight = (VideoMAE(width=16, depth=2, heads=heads) for heads in (2, 8))
    features = [jax.jit(e.apply)({"params": found}, frames) for e in (SMALL(), two, eight)]
    np.testing.assert_array_equal(features[0], features[1])
    assert np.abs(features[0] - features[2]).max() > 1e-3


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_of_the_pre_training_is_refused_with_what_to_give(prefix, tmp_path):
    arrays = {f"{prefix}encoder.{key}": array for key, array in official().items()}
    arrays[f"{prefix}encoder_to_decoder.weight"] = np.zeros((8, 16), np.float32)
    with pytest.raises(UserError, match="pre-training, which learns no classes: give the check"):
        converted(arrays, tmp_path)
