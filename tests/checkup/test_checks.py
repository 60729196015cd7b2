"""Each check of the doctor on values made by hand: bad ones are found, sound ones pass."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_jax.checkup import (
    coverage,
    epochs,
    first_loss,
    frame_rates,
    instances,
    labels,
    reach,
    space,
    speed,
    times,
    video_files,
    video_labels,
    weights,
)
from lofi_jax.checkup.finding import Finding, Severity, text, worst_first
from lofi_jax.checkup.frame_rates import Rate
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.training.recipe import Recipe

STOP, WARNING, NOTE = Severity


def video(*segments, duration=100.0, name="v"):
    """A video of segments (start, end, label)."""
    array = np.array([segment[:2] for segment in segments], float).reshape(-1, 2)
    return Video(name, "training", duration, array, tuple(segment[2] for segment in segments))


def many(count, *segments, **more):
    return [video(*segments, **more, name=f"v{i}") for i in range(count)]


def found(findings, *wanted):
    """Whether the findings are of these severities and say these texts, in order."""
    findings = list(findings)
    assert [one.severity for one in findings] == [severity for severity, _ in wanted], findings
    for one, (_, says) in zip(findings, wanted, strict=True):
        assert says in one.what, one.what
        assert one.remedy
    return True


def test_the_worst_come_first_and_keep_their_order():
    made = [Finding(severity, name, "") for severity, name in zip((NOTE, STOP, NOTE), "abc")]  # noqa: B905
    assert [one.what for one in worst_first(made)] == ["b", "a", "c"]


def test_what_a_file_holds_stays_one_line_however_long():
    made = Finding(WARNING, "few instances: " + "a\n" * 9_000, "annotate more")
    what, remedy = text(made).splitlines()
    assert len(what) <= 309 and what.startswith("WARNING  few instances: a")
    assert remedy.endswith("-> annotate more")


def test_labels_only_in_test_and_misspelt_ones_are_named():
    train = many(3, (0, 5, "jump"), (6, 9, "swim"))
    misspelt = many(1, (0, 5, "jmup"), (6, 7, "swim"), (8, 9, "dive"))
    assert found(
        labels.check(train, misspelt),
        (WARNING, "2 of 3 test classes have no training instance, so 67 percent"),
    )
    (one,) = labels.check(train, misspelt)
    assert "'jmup' (is it 'jump'?)" in one.what and "'dive'" in one.what
    assert found(labels.check(train, many(1, (0, 5, "Dive"))), (STOP, "1 of 1 test classes"))
    twins = many(2, (0, 5, "High Jump"), (6, 9, "high_jump"))
    assert found(labels.check(twins, twins), (WARNING, "1 pairs of classes differ in spaces"))
    assert found(labels.check(train, train))


@pytest.mark.parametrize(
    ("factor", "severity", "says"),
    [
        (25.0, STOP, "probably frames: 100 percent"),
        (1000.0, STOP, "probably milliseconds"),
        (1e7, STOP, "are no seconds"),
        (1 / 60, STOP, "probably fractions of the video"),
    ],
)
def test_times_in_another_unit_are_told(factor, severity, says):
    good = [video((2, 30, "a"), (40, 58, "b"), duration=None, name=f"v{i}") for i in range(4)]
    durations, rates = (
        dict.fromkeys("v0 v1 v2 v3".split(), 60.0),
        dict.fromkeys("v0 v1".split(), 25.0),
    )
    rates |= dict.fromkeys(("v2", "v3"), 25.0)
    assert found(times.check(good, durations, rates))
    bad = [Video(v.video_id, v.subset, None, v.segments * factor, v.labels) for v in good]
    assert found(times.check(bad, durations, rates), (severity, says))


def test_single_times_past_the_end_other_lengths_and_backward_segments_are_told():
    videos = [*many(3, (0, 5, "a")), video((50, 300, "a"), name="long")]
    durations = {v.video_id: 100.0 for v in videos}
    assert found(
        times.check(videos, durations, {}), (WARNING, "1 of 4 videos have times far past their end")
    )
    durations["v1"] = 50.0
    assert found(
        times.check(videos[:3], durations, {}),
        (WARNING, "1 of 3 videos are annotated with another duration"),
    )
    backward = [video((5, 5, "a"), (9, 3, "a"), (0, 8, "a"), name="x")]
    assert found(times.check(backward, {"x": 100.0}, {}), (WARNING, "2 segments end before"))


def test_frame_rates_that_vary_or_differ_are_told():
    steady = {"a": Rate(25, 25), "b": Rate(30, 30)}
    assert found(frame_rates.check(steady, 8, 8))
    mixed = steady | {"c": Rate(60, 60)}
    assert found(frame_rates.check(mixed, 8, 8), (WARNING, "lasts 1.07 to 2.56 s"))
    assert found(frame_rates.check(mixed, 8, 0))
    phone = steady | {"c": Rate(24.1, 60)}
    assert found(frame_rates.check(phone, 8, 0), (NOTE, "1 of 3 videos have a variable frame rate"))


def test_trimmed_and_nearly_empty_videos_are_told():
    assert found(coverage.check(many(2, (10, 40, "a"), (30, 60, "b"))))
    assert found(coverage.check(many(2, (0, 60, "a"), (50, 99, "b"))), (WARNING, "99 percent"))
    assert found(coverage.check(many(2, (0, 1, "a"))), (WARNING, "1.0 percent"))
    mostly = [*many(2, (10, 40, "a")), *many(3)]
    assert found(coverage.check(mostly), (NOTE, "3 of 5 training videos have no segment"))
    assert found(coverage.check(many(3))) and found(coverage.check([]))


@given(
    start=st.floats(0, 9.9),
    length=st.floats(0.05, 9),
    snippets=st.integers(2, 10),
    longest=st.none() | st.integers(1, 8),
)
def test_the_best_anchor_is_that_of_all(start, length, snippets, longest):
    segment = np.clip([start, start + length], 0, snippets)
    limit = snippets if longest is None else longest
    best = 0.0
    for a, b in itertools.combinations(range(snippets + 1), 2):
        if b - a <= limit:
            both = max(min(b, segment[1]) - max(a, segment[0]), 0)
            union = max(b, segment[1]) - min(a, segment[0])
            best = max(best, both / union)
    (ours,) = reach.best_tiou(segment[None], np.array([float(snippets)]), longest)
    assert ours == pytest.approx(best, abs=1e-9)


def test_a_low_ceiling_of_recall_is_told():
    segments, number = np.array([[1.0, 3.0], [4.5, 5.5], [6.2, 6.4]]), np.full(3, 10.0)
    full = reach.ceilings(reach.best_tiou(segments, number))
    assert full == {
        0.5: pytest.approx(2 / 3),
        0.75: pytest.approx(1 / 3),
        0.95: pytest.approx(1 / 3),
    }
    assert found(reach.check({"full": full}, 2.0, "L=20"), (WARNING, "67 / 33 / 33 percent"))
    good, none = dict.fromkeys(reach.TIOUS, 1.0), dict.fromkeys(reach.TIOUS, 0.1)
    assert found(reach.check({"full": good}, 2.0, ""))
    assert found(reach.check({"full": none}, 2.0, ""), (STOP, "10 / 10 / 10 percent"))
    assert found(reach.check({"full": good, "low": none}, 2.0, ""), (WARNING, "fidelity low"))


def test_rare_classes_are_named():
    train = [*many(6, (0, 5, "a")), *many(2, (0, 5, "b"))]
    assert found(
        instances.check(train, many(3, (0, 5, "a"))),
        (WARNING, "1 of 2 classes have under 5 training instances: 'b' (2)"),
    )
    assert found(instances.check(train[:6], many(2, (0, 5, "a"))), (NOTE, "under 3 test instances"))
    assert found(instances.check(many(3), train), (STOP, "no training video has"))


def test_labels_by_video_that_lose_instances_are_told():
    several = many(4, (0, 1, "a"), (1, 2, "a"), (2, 3, "b"), (3, 4, "c"))
    (one,) = video_labels.check(several, 2)
    assert one.severity == WARNING and "25 percent of the test instances" in one.what
    assert "top_classes=3" in one.remedy
    assert found(video_labels.check(several, 3))


@pytest.mark.parametrize(
    ("epochs_", "batch", "examples", "wanted"),
    [
        (15, 16, 8, [(WARNING, "a batch of 16 is more than the 8")]),
        (15, 16, 64, [(WARNING, "15 epochs of 64 examples are 60 steps")]),
        (100, 16, 40, [(NOTE, "an epoch is 2 steps")]),
        (15, 16, 10000, []),
    ],
)
def test_trainings_of_a_few_steps_are_told(epochs_, batch, examples, wanted):
    assert found(epochs.check("joint", Recipe(float(epochs_), batch), examples), *wanted)


def test_layers_that_a_checkpoint_left_untouched_are_named():
    draw = np.random.default_rng(0).normal
    fresh = {f"params.{n}.kernel": draw(size=(3, 3)) for n in "ab"} | {"params.a.bias": np.zeros(3)}
    loaded = {name: draw(size=x.shape) for name, x in fresh.items()}
    loaded["params.a.bias"] = np.zeros(3)  # biases may stay
    assert found(weights.check("p", loaded, fresh))
    half = loaded | {"params.a.kernel": fresh["params.a.kernel"]}
    assert found(weights.check("p", half, fresh), (WARNING, "1 of 2 layers are as they were made"))
    assert found(weights.check("p", fresh, fresh), (STOP, "2 of 2 layers"))
    flat = loaded | {"params.b.kernel": np.ones((3, 3))}
    assert found(weights.check("p", flat, fresh), (WARNING, "params.b.kernel"))
    broken = loaded | {"params.a.bias": np.full(3, np.nan)}
    assert found(weights.check("p", broken, fresh), (STOP, "no numbers: params.a.bias"))


def test_a_device_that_waits_is_told():
    hour = 3600 * 200
    assert found(speed.check(100, 2, 1000, True, hour), (WARNING, "decode 200 frames a second"))
    (one,) = speed.check(100, 2, 1000, False, hour)
    assert one.severity == NOTE and "about 1.0 h" in one.what
    assert found(speed.check(100, 2, 150, True, hour))


def test_a_full_disk_is_told():
    assert found(space.check("disk", 2e9, 1e9, "x"), (STOP, "about 2.00 GB are needed and 1.00"))
    assert found(space.check("disk", 0.9e9, 1e9, "x"), (WARNING, "0.90 GB"))
    assert found(space.check("disk", 0.5e9, 1e9, "x"))


def test_a_strange_first_loss_is_told():
    assert found(first_loss.check("gtad", float("nan"), (1, 5)), (STOP, "step 0 is nan"))
    assert found(first_loss.check("gtad", 40.0, (1, 5)), (WARNING, "is 40, and usually 1 to 5"))
    assert found(first_loss.check("gtad", 3.0, (1, 5)))
    assert found(first_loss.check("other", 40.0, None))


def test_missing_and_broken_files_are_told():
    ids = ["a", "b", "c"]
    assert found(video_files.check("val", ids, ids, {}))
    assert found(video_files.check("val", ids, ["a"], {}), (WARNING, "2 of 3 videos of 'val'"))
    assert found(video_files.check("val", ids, [], {}), (STOP, "3 of 3"))
    assert found(
        video_files.check("val", ids, ids, {"b": "b.mp4: not a video"}),
        (WARNING, "1 of 3 files of 'val' cannot be opened: b.mp4: not a video"),
    )
