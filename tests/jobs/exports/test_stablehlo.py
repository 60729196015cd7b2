"""Programs of a row that JAX alone runs, and their postprocessing beside NumPy's."""

import hashlib
import importlib.util
import json
import subprocess
import sys
import types

import jax
import numpy as np
import pytest
from commands import ENVIRONMENT, run

import lofi_jax
from lofi_jax.config import full_fidelity
from lofi_jax.data.loader import clips
from lofi_jax.detection import on_device, proposals
from lofi_jax.detection.proposals import Suppression, dense_proposals, suppress, with_classes
from lofi_jax.jobs.exports import stablehlo_loader

ALONE = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import loader
frames = np.load(sys.argv[2])
made = loader.load(sys.argv[1])
whole = len(sys.argv) < 4
found = made(frames, 32.0) if whole else {k: v.tolist() for k, v in made(frames).items()}
assert not {"lofi_jax", "flax", "optax", "cv2"} & set(sys.modules)
print(json.dumps(found))
"""


written = pytest.mark.skipif(
    importlib.util.find_spec("flatbuffers") is None, reason="no flatbuffers, for JAX's programs"
)


@pytest.fixture(scope="module")
def shown(finished_run, tmp_path_factory):
    """A localizer, a test video, and the file of its frames as the encoder sees them."""
    localizer = lofi_jax.Localizer.load(finished_run[0])
    target = finished_run[0] / "data" / "world" / "target" / "videos"
    video = target / "v_target_testing_00001.mp4"
    full, frames = full_fidelity(localizer.run.config), localizer.run.config.data.frames
    whole = clips.WholeVideo(lambda index: full, frames, 0, clips.NONE, 0)
    path = tmp_path_factory.mktemp("frames") / "frames.npy"
    record, _ = localizer.read(video)
    np.save(path, whole.map_with_index(0, record)["frames"].read())
    return localizer, video, path


def alone(*arguments):
    """What the loader prints in a process that has JAX and NumPy only."""
    command = [sys.executable, "-c", ALONE, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd="/")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@written
def test_the_exported_programs_give_the_same_detections(shown, tmp_path):
    localizer, video, frames = shown
    workdir = localizer.run.workdir.root
    ended = run("export", f"--workdir={workdir}", "--layout=stablehlo", f"--output={tmp_path}")
    assert (ended.returncode, ended.stderr) == (0, "")
    said = f"{localizer.row.name}: encoder, head, postprocessing, "
    assert ended.stdout.startswith(said)
    expected, found = localizer.detect(video), alone(tmp_path, frames)
    assert [label for _, _, label, _ in found] == list(expected.labels) and len(found) > 50
    times = [[start, end] for start, end, _, _ in found]
    np.testing.assert_allclose(times, expected.segments, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose([score for *_, score in found], expected.scores, rtol=1e-4)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["frames"]["shape"] == [16, 2, 16, 16, 3]
    assert manifest["classes"] == list(localizer.classes)
    lines = (tmp_path / "loader.py").read_text().partition("import json")[2].splitlines()
    assert len(lines) <= 35


@pytest.mark.parametrize("file", ["head.bin", "../head.bin"])
def test_a_changed_file_is_refused_by_name_and_none_elsewhere_is_read(file, tmp_path):
    folder = tmp_path / "exported"
    folder.mkdir()
    (tmp_path / "head.bin").write_bytes(b"as it was")
    (folder / "head.bin").write_bytes(b"as it is!")
    told = {"programs": {"head": file}, "weights": {}}
    told["sha256"] = {file: hashlib.sha256(b"as it was").hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match=f"{file}: not as it was exported: export again"):
        stablehlo_loader.load(folder)


@pytest.mark.parametrize("duration", [float("nan"), -1.0, float("inf")])
def test_what_is_no_duration_is_refused(duration, tmp_path, monkeypatch):
    told = {"programs": {"head": "head.bin"}, "weights": {}}
    told["sha256"] = {"head.bin": hashlib.sha256(b"").hexdigest()}
    (tmp_path / "head.bin").write_bytes(b"")
    (tmp_path / "manifest.json").write_text(json.dumps(told))
    monkeypatch.setattr(jax.export, "deserialize", lambda content: types.SimpleNamespace(call=abs))
    with pytest.raises(ValueError, match=f"the duration is {duration}, not a number of seconds"):
        stablehlo_loader.load(tmp_path)(None, duration)


@written
def test_half_of_it_gives_the_features(shown, tmp_path):
    localizer, video, frames = shown
    given = [f"--workdir={localizer.run.workdir.root}", "--layout=stablehlo", "--features_only"]
    ended = run("export", *given, f"--output={tmp_path}", "--row=acp_gtad")
    assert (ended.returncode, ended.stderr) == (0, "")
    found = alone(tmp_path, frames, "features")
    stored = localizer.run.workdir.features("acp") / "target_testing_00001.npy"
    assert list(found) == ["acp"]
    np.testing.assert_allclose(found["acp"], np.load(stored), rtol=1e-4, atol=1e-5)
    assert not (tmp_path / "head.bin").exists()


METHODS = [
    Suppression("gaussian", 0.84, 0.5, 0.0, 20),
    Suppression("gaussian", 0.4, 0.5, 0.0, 20, floor=(0.5, 0.9)),
    Suppression("linear", 0.4, 0.3, 0.0, 15),
    Suppression("hard", 0.4, 0.3, 0.0, 200, min_score=0.05),
]


@pytest.mark.parametrize("how", METHODS, ids=lambda how: f"{how.method}_{how.sigma}")
@pytest.mark.parametrize("select", [False, True])
@pytest.mark.parametrize("weigh", [False, True])
def test_postprocessing_is_that_of_a_run(how, select, weigh):
    rng = np.random.default_rng(0)
    length, classes = 12, 5
    anchors = np.array([(s, e) for s in range(length) for e in range(s + 1, length + 1)])
    sizes = {"start": length, "end": length} | dict.fromkeys(
        ("regression", "classification"), len(anchors)
    )
    logits = {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    probabilities = rng.dirichlet(np.ones(classes)).astype(np.float32)
    given = {name: 1 / (1 + np.exp(-x.astype(np.float64))) for name, x in logits.items()}
    confidence = given["regression"] * given["classification"]
    dense = dense_proposals(anchors, given["start"], given["end"], confidence, select, weigh)
    (kept,) = suppress([dense], how)
    expected = with_classes(kept, probabilities, 2).first(25)
    with jax.enable_x64(True):
        made = on_device.postprocessing(anchors, select, weigh, how, 2, 25)
        found = jax.jit(made)(logits, probabilities, np.float32(40.0))
    count = int(found["count"])
    assert count == len(expected.scores)
    np.testing.assert_array_equal(found["labels"][:count], expected.known_labels)
    np.testing.assert_allclose(found["segments"][:count], expected.segments * 40, rtol=1e-6)
    np.testing.assert_allclose(found["scores"][:count], expected.scores, rtol=1e-6)


def test_voting_is_refused():
    how = Suppression("hard", 0.4, 0.3, 0.5, 10)
    assert isinstance(proposals.suppress([], how), list)
    with pytest.raises(ValueError, match="voting"):
        on_device.postprocessing(np.zeros((1, 2), int), True, True, how, 1, 1)
