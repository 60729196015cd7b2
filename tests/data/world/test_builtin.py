"""The built-in world: one seed, one world; true to its annotations; free of giveaways."""

import collections
import io
import json
import pathlib
import signal
import subprocess
import sys
import time

import av
import commands
import numpy as np
import pytest

from lofi_jax.data.annotations import activitynet
from lofi_jax.data.world import builtin, scene, script
from lofi_jax.errors import UserError

SMALL = dict(source_clips=20, train_videos=3, test_videos=2, workers=1)
SCRIPTS = 300  # enough for statistics


def decode(file) -> np.ndarray:
    """All frames of a video, (F, H, W, 3) uint8 RGB."""
    with av.open(file) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below `folder` by its relative path, but for hidden ones half written."""
    paths = sorted(path for path in folder.rglob("[!.]*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def target(world: str, count: int):
    """A world's first target videos for training: (world, subset, indices)."""
    made = builtin.World(world, 0, source_clips=10, train_videos=count, test_videos=1)
    return made, made.subsets()[2], range(count)


def inside(script) -> np.ndarray:
    """Whether each frame belongs to an action, (F,) bool."""
    mask = np.zeros(len(script.poses), bool)
    for start, end in script.actions:
        mask[start:end] = True
    return mask


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("world")
    builtin.generate(folder, **SMALL)
    return folder


def test_files_are_as_annotated(small):
    expected = {
        "source": {"training": 18, "validation": 2},
        "target": {"training": 3, "testing": 2},
    }
    for side, subsets in expected.items():
        loaded = activitynet.load(small / side / "annotations.json")
        assert not loaded.problems
        assert collections.Counter(v.subset for v in loaded.videos.values()) == subsets
        prefix = "v_" if side == "target" else ""
        names = {f"{prefix}{video_id}.mp4" for video_id in loaded.videos}
        assert {path.name for path in (small / side / "videos").iterdir()} == names
        for video_id, video in loaded.videos.items():
            with av.open(small / side / "videos" / f"{prefix}{video_id}.mp4") as container:
                stream = container.streams.video[0]
                assert stream.codec_context.name == "h264"
                assert stream.codec_context.pix_fmt == "yuv420p"
                assert stream.average_rate == builtin.FPS
                assert stream.duration * stream.time_base == video.duration
                times = [frame.time for frame in container.decode(stream)]
            assert times == [index / builtin.FPS for index in range(len(times))]
            assert len(times) == video.duration * builtin.FPS


def test_source_clips_are_trimmed(small):
    videos = activitynet.load(small / "source" / "annotations.json").videos.values()
    for video in videos:
        assert video.segments.tolist() == [[0.0, video.duration]]
    assert {video.labels[0] for video in videos} == set(script.CLASSES)


def test_decoded_frames_are_close_to_the_rendered_ones(small):
    made = builtin.World("appearance", 0, 20, 3, 2)
    for subset in made.subsets():
        rendered = made.render(subset, 1).astype(float)
        decoded = decode(small / subset.path(1)).astype(float)
        assert decoded.shape == rendered.shape
        # Brightness only: halving the colour planes' size costs more than the quantiser does.
        error = decoded.mean(3) - rendered.mean(3)
        assert np.sqrt(np.mean(error**2)) < 7


def test_same_seed_same_bytes_however_many_workers(small, tmp_path):
    builtin.generate(tmp_path, **{**SMALL, "workers": 3})
    assert contents(tmp_path) == contents(small)


def test_another_seed_or_world_gives_other_videos(small, tmp_path):
    first = contents(small)
    for change in ({"seed": 1}, {"world": "motion"}):
        folder = tmp_path / next(iter(change))
        builtin.generate(folder, **{**SMALL, **change})
        other = contents(folder)
        assert other.keys() == first.keys()
        assert all(other[name] != first[name] for name in first)


def test_subsets_share_no_video(small):
    videos = [data for name, data in contents(small).items() if name.endswith(".mp4")]
    assert len(set(videos)) == len(videos) == 25


def test_a_larger_world_begins_with_the_smaller(small, tmp_path):
    builtin.generate(tmp_path, **{**SMALL, "train_videos": 4})
    larger = contents(tmp_path / "target" / "videos")
    assert contents(small / "target" / "videos").items() < larger.items()


@pytest.mark.parametrize("world", script.WORLDS)
def test_actions_and_gaps_are_as_documented(world):
    made, subset, indices = target(world, SCRIPTS)
    counts, lengths, gaps = [], [], []
    for index in indices:
        actions = made.plan(subset, index)[2].actions
        counts.append(len(actions))
        lengths.extend(actions[:, 1] - actions[:, 0])
        edges = np.concatenate([[0], actions.ravel(), [script.VIDEO_FRAMES]])
        gaps.extend(edges[1::2] - edges[::2])
    assert 3.2 <= np.mean(counts) <= 3.6
    for values, (least, most) in (
        (lengths, script.ACTION_FRAMES),
        (gaps, script.GAP_FRAMES),
    ):
        assert least <= min(values) <= least + 2
        assert most - 4 <= max(values) <= most
    # Ends fall on any frame, not only between snippets of four.
    assert len({int(length) % 4 for length in lengths}) == 4


def test_annotated_seconds_are_the_scripts_frames():
    made, subset, _ = target("appearance", 20)
    videos = [video for video in made.annotated("target") if video.subset == "training"]
    for index, video in enumerate(videos):
        label, _, script, _ = made.plan(subset, index)
        assert video.duration == 32.0
        assert set(video.labels) == {label}
        assert (video.segments * builtin.FPS == script.actions).all()


def test_shape_gives_the_class_away_in_one_world_only():
    shapes = {}
    for world in script.WORLDS:
        made = builtin.World(world, 0, 1200, 300, 1)
        for subset in (made.subsets()[0], made.subsets()[2]):
            pairs = [made.plan(subset, index)[:2] for index in range(subset.count)]
            shapes[world, subset.side] = collections.Counter(pairs)
    for side in ("source", "target"):
        assert len(shapes["appearance", side]) == 6
        assert len({shape for _, shape in shapes["appearance", side]}) == 6
        assert len(shapes["motion", side]) == 36
    assert shapes["appearance", "source"].keys() == shapes["appearance", "target"].keys()
    # 180 clips a class, so 30 are expected of each shape; the deviation is 5.
    assert 10 <= min(shapes["motion", "source"].values())
    assert max(shapes["motion", "source"].values()) <= 50


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_object_is_in_view_in_every_frame(side):
    made = builtin.World("motion", 0, 300, 60, 1)
    subset = made.subsets()[0 if side == "source" else 2]
    for index in range(0, subset.count, 5):
        _, shape, script, _ = made.plan(subset, index)
        body, _ = scene.cover(shape, script.radius, script.poses)
        seen = body.sum((1, 2))
        # The same poses in the middle of the frame show the whole object.
        whole, _ = scene.cover(shape, script.radius, script.poses * (0, 0, 1, 1) + (0.5, 0.5, 0, 0))
        assert (seen >= 0.97 * whole.sum((1, 2))).all()
        assert seen.min() > 25  # pixels


def test_the_object_stands_out_in_every_frame():
    made, subset, indices = target("appearance", 6)
    for index in indices:
        _, shape, script, _ = made.plan(subset, index)
        body, spot = scene.cover(shape, script.radius, script.poses)
        frames = decode(io.BytesIO(builtin._encode(made.render(subset, index)))) / 255.0
        on, off = (
            np.einsum("fhw,fhwc->fc", weight, frames) / weight.sum((1, 2))[:, None]
            for weight in (body - spot, 1 - body)
        )
        assert np.linalg.norm(on - off, axis=1).min() > 0.2


def test_poses_are_continuous_and_actions_end_where_they_began():
    made, subset, indices = target("appearance", 100)
    gaps, boundaries = [], []
    for index in indices:
        script = made.plan(subset, index)[2]
        steps = np.linalg.norm(np.diff(script.poses[:, :2], axis=0), axis=1)  # in frame widths
        gaps.extend(steps[~inside(script)[:-1]])
        for start, end in script.actions:
            boundaries.extend(steps[[start - 1, end]])  # the gaps' last and first steps
            np.testing.assert_allclose(
                script.poses[end, [0, 1, 3]], script.poses[start, [0, 1, 3]], atol=1e-9
            )
    assert max(gaps) < 0.35  # a hop's; no cuts
    assert np.mean(boundaries) < 1.25 * np.mean(gaps)


@pytest.mark.parametrize("label", script.CLASSES)
def test_an_action_shows_within_a_snippet(label):
    """Over any 4 of its frames the object moves, turns or grows by about a pixel of 32 x 32."""
    made, subset, indices = target("appearance", 120)
    for index in indices:
        drawn, _, script, _ = made.plan(subset, index)
        if drawn != label:
            continue
        # How far the rim goes when the object turns, and the width when it grows.
        metric = np.array([1, 1, script.radius, 2 * script.radius])
        for start, end in script.actions:
            for first in range(start, end - 4, 4):
                spread = np.ptp(script.poses[first : first + 4] * metric, axis=0)
                assert np.linalg.norm(spread) * 32 > 0.9


def test_single_frames_do_not_tell_actions_from_gaps():
    """A linear model of each frame's brightness, contrast and colour is no better than chance."""
    made, subset, indices = target("appearance", 12)
    features, labels = [], []
    for index in indices:
        frames = decode(io.BytesIO(builtin._encode(made.render(subset, index)))) / 255.0
        colours = frames.mean((1, 2))
        columns = np.column_stack([frames.var((1, 2, 3)), colours, frames.max((1, 2, 3))])
        features.append((columns - columns.mean(0)) / (columns.std(0) + 1e-9))
        labels.append(inside(made.plan(subset, index)[2]))
    half = len(features) // 2
    seen, unseen = (np.concatenate(part) for part in (features[:half], features[half:]))
    truth, hidden = (np.concatenate(part) for part in (labels[:half], labels[half:]))
    weights, *_ = np.linalg.lstsq(np.c_[seen, np.ones(len(seen))], truth, rcond=None)
    scores = np.c_[unseen, np.ones(len(unseen))] @ weights
    wins = (scores[hidden][:, None] > scores[~hidden][None]).mean()  # area under the ROC curve
    assert 0.44 < wins < 0.56


def test_the_encoder_marks_no_boundary(small):
    for path in sorted((small / "target" / "videos").iterdir()):
        with av.open(path) as container:
            keys = [frame.key_frame for frame in container.decode(video=0)]
        assert [index for index, key in enumerate(keys) if key] == list(range(0, 256, 32))


def test_a_finished_world_is_left_alone(small):
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    builtin.generate(small, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


def test_a_killed_run_is_finished_by_the_next(small, tmp_path):
    arguments = {**SMALL, "workers": 2}
    code = (
        "from lofi_jax.data.world import builtin\n"
        "if __name__ == '__main__':\n"
        f"    builtin.generate({str(tmp_path)!r}, **{arguments!r})\n"
    )
    script = tmp_path / "make.py"
    script.write_text(code)
    root = commands.ROOT
    process = subprocess.Popen([sys.executable, str(script)], env={"PYTHONPATH": str(root)})
    videos = tmp_path / "source" / "videos"
    deadline = time.monotonic() + 30
    while not (videos.is_dir() and any(videos.glob("*.mp4"))) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    script.unlink()
    assert not (tmp_path / "source" / "annotations.json").exists()
    made = set(videos.glob("*.mp4"))
    assert made

    times = {path: path.stat().st_mtime_ns for path in made}
    builtin.generate(tmp_path, **SMALL)
    assert contents(tmp_path) == contents(small)
    assert {path: path.stat().st_mtime_ns for path in made} == times


def test_workers_that_cannot_start_are_an_error_of_one_line(tmp_path):
    # Spawned workers import the main module, and there is none to import on standard input.
    root = commands.ROOT
    arguments = {**SMALL, "workers": 2}
    code = (
        "from lofi_jax.data.world import builtin\n"
        f"builtin.generate({str(tmp_path)!r}, **{arguments!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-"],
        input=code,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("lofi_jax.errors.UserError") and "a worker process" in message


@pytest.mark.parametrize(
    "change, named",
    [
        ({"world": "shape"}, "world: 'shape'"),
        ({"seed": -1}, "seed: -1"),
        ({"source_clips": 9}, "source_clips: 9"),
        ({"train_videos": 0}, "train_videos: 0"),
        ({"workers": 0}, "workers: 0"),
    ],
)
def test_bad_arguments_are_named(tmp_path, change, named):
    with pytest.raises(UserError, match=named):
        builtin.generate(tmp_path / "world", **{**SMALL, **change})
    assert not (tmp_path / "world").exists()


def test_a_folder_with_another_world_is_refused(small):
    before = contents(small)
    with pytest.raises(UserError, match="another seed, train_videos"):
        builtin.generate(small, **{**SMALL, "seed": 1, "train_videos": 4})
    assert contents(small) == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*cannot be written"):
        builtin.generate(tmp_path / "file" / "world", **SMALL)
    (tmp_path / "world.json").write_text(json.dumps([]))
    with pytest.raises(UserError, match="another world"):
        builtin.generate(tmp_path, **SMALL)
