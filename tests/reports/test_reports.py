"""Timelines are read back from their pixels, tables compared letter by letter."""

import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from lofi_jax.errors import UserError
from lofi_jax.jobs import images
from lofi_jax.reports import bars, curves, diagnosis, tables, timelines
from lofi_jax.results.detections import Detections

CLASSES = ["cross spinning", "disc pulsing", "ring shaking"]


def truth(label, start, end):
    return timelines.Segment(start, end, label)


def found(label, start, end, score):
    return timelines.Segment(start, end, label, score)


def pixels(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


class Columns:
    """The pixels of a written timeline, by time; legend and thumbnails left out."""

    def __init__(self, path, *args, **kwargs):
        timelines.draw(path, *args, **kwargs)
        fig = timelines.figure(*args, **kwargs)
        axes = fig.axes[-1]
        image = pixels(path)
        low, high = (image.shape[0] - round(y) for y in (axes.bbox.y1, axes.bbox.y0))
        self.body = image[low:high]
        self.at = lambda time: round(axes.transData.transform((time, 0))[0])

    def rows_of(self, time, colour):
        """Rows of pixels, from the top, that have this colour at this time."""
        wanted = np.round(255 * np.array(to_rgb(colour)))
        return np.flatnonzero((abs(self.body[:, self.at(time)] - wanted) <= 2).all(axis=-1))


def test_bars_lie_where_their_segments_are(tmp_path):
    rows = [
        ("ground truth", [truth("disc pulsing", 2, 5)]),
        ("lofi", [found("ring shaking", 6, 9, 0.9), found("disc pulsing", 2.5, 4, 0.9)]),
    ]
    columns = Columns(tmp_path / "a.png", "v_a", 12.0, rows, classes=CLASSES)
    disc, ring = (timelines.colours(CLASSES)[name].face for name in CLASSES[1:])
    half = len(columns.body) // 2
    for time in (2.05, 4.95):
        assert (columns.rows_of(time, disc) < half).all() and columns.rows_of(time, disc).size > 10
    for time in (2.55, 3.95):
        assert (columns.rows_of(time, disc) > half).sum() > 10
    for time in (0.5, 1.95, 5.05, 11.5):
        assert columns.rows_of(time, disc).size == 0
    for time in (6.05, 8.95):
        assert (columns.rows_of(time, ring) > half).all() and columns.rows_of(time, ring).size > 10
    for time in (5.95, 9.05):
        assert columns.rows_of(time, ring).size == 0


def test_a_class_keeps_its_colour_from_image_to_image(tmp_path):
    ring = timelines.colours(CLASSES)["ring shaking"].face
    for rest in ([], [found("cross spinning", 6, 9, 0.5)]):
        rows = [("lofi", [found("ring shaking", 2, 5, 0.9), *rest])]
        columns = Columns(tmp_path / "a.png", "v_a", 10, rows, classes=CLASSES)
        assert columns.rows_of(2.2, ring).size > 10


def test_colours_depend_on_the_set_of_classes_alone():
    assert timelines.colours(["b", "a", "b"]) == timelines.colours(["a", "b"])
    many = timelines.colours([f"class {i}" for i in range(200)])
    assert len(set(many.values())) == 200
    plain = [look for look in many.values() if not look.hatch]
    assert len({look.face for look in plain}) == len(plain) == 8
    assert len(timelines.colours(list(map(str, range(400))))) == 400


def test_weak_detections_are_fainter(tmp_path):
    rows = [("lofi", [found("a", 1, 3, 0.8), found("a", 4, 6, 0.4), found("a", 7, 9, 0.01)])]
    columns = Columns(tmp_path / "a.png", "v_a", 10, rows)
    middle = len(columns.body) // 2
    strong, weak, weakest = (columns.body[middle, columns.at(t)].sum() for t in (1.2, 4.2, 7.2))
    assert strong < weak < weakest < 3 * 255


def test_a_label_outside_the_classes_is_drawn_white_and_named():
    fig = timelines.figure("v_a", 10, [("lofi", [found("new", 1, 3, 0.8)])], classes=CLASSES)
    assert fig.axes[-1].patches[0].get_facecolor() == (1, 1, 1, 1)
    assert "new" in words(fig)


def words(fig):
    return [text.get_text() for text in fig.findobj(Text) if text.get_text()]


@st.composite
def detections(draw):
    duration = draw(st.sampled_from([0.1, 7.0, 121.0, 10800.0]))
    fraction = st.floats(0, 1)
    label = st.sampled_from(["a", "an $unusually$ long name of a class, " * 4, "c"])
    times = st.tuples(fraction, fraction).map(sorted)
    many = st.lists(st.tuples(label, times, fraction), max_size=20)
    return duration, [
        found(name, duration * start, duration * end, score)
        for name, (start, end), score in draw(many)
    ]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(detections())
def test_every_detection_is_seen_and_none_covers_another(case):
    duration, segments = case
    fig = timelines.figure("v_a " * 60, duration, [("a system of long name " * 9, segments)])
    axes = fig.axes[-1]
    fig.canvas.draw()
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    wanted = sorted((segment.start, segment.end) for segment in segments)
    drawn = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars)
    np.testing.assert_allclose(drawn, wanted, atol=1e-9 * duration)
    scores = [text for text in axes.texts if text.get_text() != "none"]
    boxes = [item.get_window_extent().extents for item in (*bars, *scores)]
    assert len(scores) == len(bars)
    owner = [*range(len(bars))] * 2  # a score may lie on its own bar
    for i, (left, bottom, right, top) in enumerate(boxes):
        for j, (x0, y0, x1, y1) in enumerate(boxes[:i]):
            apart = right <= x0 + 1 or x1 <= left + 1 or top <= y0 + 1 or y1 <= bottom + 1
            assert apart or owner[i] == owner[j]
    inked = fig.get_tightbbox()
    width, height = fig.get_size_inches()
    assert inked.x0 >= 0 and inked.y0 >= 0 and inked.x1 <= width and inked.y1 <= height


def test_the_best_detection_stands_on_top():
    rows = [("lofi", [found("a", 0, 9, score) for score in (0.2, 0.9, 0.5)])]
    axes = timelines.figure("v_a", 10, rows).axes[-1]
    from_the_top = sorted(axes.texts, key=lambda text: text.get_position()[1])
    assert [text.get_text() for text in from_the_top] == ["0.90", "0.50", "0.20"]


def test_nothing_to_show_is_still_an_image(tmp_path):
    rows = [("ground truth", []), ("lofi", [])]
    timelines.draw(tmp_path / "a.png", "v_a", 10, rows)
    assert pixels(tmp_path / "a.png").shape[1] == 1600
    assert words(timelines.figure("v_a", 10, rows)).count("none") == 2


def test_segments_past_the_end_are_cut_there():
    rows = [("lofi", [found("a", 8, 15, 0.5), found("a", -3, 2, 0.5), found("a", 12, 14, 0.5)])]
    bars = timelines.figure("v_a", 10, rows).axes[-1].patches
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0, 2), (8, 2), (10, 0)]


@pytest.mark.parametrize("duration", [0, -1.0, float("nan"), float("inf")])
def test_a_video_without_length_is_refused(tmp_path, duration):
    with pytest.raises(UserError, match="'v_a'.*duration"):
        timelines.draw(tmp_path / "a.png", "v_a", duration, [])
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("duration", "unit", "labels"),
    [
        (0.1, "s", ["0", "0.05", "0.1"]),
        (60, "s", ["0", "30", "60"]),
        (600, "m:ss", ["0:00", "5:00", "10:00"]),
        (10800, "h:mm:ss", ["0:00:00", "1:20:00", "3:00:00"]),
        (360000, "h:mm:ss", ["0:00:00", "50:00:00", "100:00:00"]),
    ],
)
def test_time_is_written_as_the_length_asks_for(duration, unit, labels):
    axes = timelines.figure("v_a", duration, [("lofi", [])]).axes[-1]
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert axes.get_xlabel() == f"time ({unit})"
    assert set(labels) <= set(ticks)
    assert len(ticks) <= 13


def test_thumbnails_stand_over_their_times(tmp_path):
    red, blue = (np.full((90, 160, 3), colour, np.uint8) for colour in ([255, 0, 0], [0, 0, 255]))
    timelines.draw(tmp_path / "a.png", "v_a", 8, [("lofi", [])], frames=[red, blue])
    strip, body = timelines.figure("v_a", 8, [("lofi", [])], frames=[red, blue]).axes
    image = pixels(tmp_path / "a.png")
    y = image.shape[0] - round((strip.bbox.y0 + strip.bbox.y1) / 2)
    first, second = (image[y, round(body.transData.transform((t, 0))[0])] for t in (2, 6))
    np.testing.assert_array_equal([first, second], [[255, 0, 0], [0, 0, 255]])


def test_more_frames_than_fit_are_thinned_out():
    frames = np.arange(100, dtype=np.uint8)[:, None, None, None] * np.ones((1, 9, 16, 3), np.uint8)
    strip, _ = timelines.figure("v_a", 8, [("lofi", [])], frames=list(frames)).axes
    shown = [int(image.get_array()[0, 0, 0]) for image in strip.images]
    assert 4 <= len(shown) <= 12
    assert shown == sorted(shown) and shown[0] < 15 and shown[-1] > 85


def lines(panel, label):
    """The raw and the smoothed line of a name."""
    everything = panel.get_lines()
    (i,) = (i for i, line in enumerate(everything) if line.get_label() == label)
    return everything[i - 1], everything[i]


def test_curves_have_a_panel_a_stage(tmp_path):
    logged = {
        "pretrain": [{"step": i, "loss": 1.0 + i % 3, "learning_rate": 0.1} for i in range(80)],
        "joint": [{"step": 5, "loss": 2.0, "start": 1.0}],
        "head": [],
    }
    curves.draw(tmp_path / "a.png", logged)
    height, width, _ = pixels(tmp_path / "a.png").shape
    assert width > 1000 and height > 600
    fig = curves.figure(logged)
    pretrain, rate, joint, head = fig.axes
    assert [axes.get_title("left") for axes in (pretrain, joint, head)] == list(logged)
    assert [text.get_text() for text in head.texts] == ["nothing logged"]
    assert lines(joint, "start")[1].get_xydata().tolist() == [[5, 1]]
    np.testing.assert_array_equal(rate.get_lines()[0].get_ydata(), np.full(80, 0.1))


def test_accuracy_has_a_panel_of_its_own_and_every_axis_a_label():
    logged = [{"step": i, "accuracy": i / 40, "loss": 3.0 - i / 20} for i in range(40)]
    logged[3]["learning_rate"] = 0.1
    losses, accuracy, rate = curves.figure({"pretrain": logged}).axes
    labels = [axes.get_ylabel() for axes in (losses, accuracy, rate)]
    assert labels == ["loss", "accuracy (%)", "learning rate"]
    assert accuracy.get_xlabel() == "step"
    np.testing.assert_allclose(accuracy.get_lines()[0].get_ydata(), 2.5 * np.arange(40))
    assert {line.get_label() for line in losses.get_lines()[1::2]} == {"loss"}


def test_no_line_crosses_the_legend_of_a_panel():
    names = ("loss", "start", "end", "regression", "classification", "learning_rate")
    logged = [dict.fromkeys(names, 1.0) | {"step": i, "accuracy": 0.5} for i in range(9)]
    fig = curves.figure({"joint": logged, "head": logged})
    fig.draw_without_rendering()
    legends = [part.legends[0] for part in fig.subfigs]
    assert [len(legend.get_texts()) for legend in legends] == [6, 6]
    for legend in legends:
        box = legend.get_window_extent()
        assert not any(box.overlaps(axes.get_tightbbox()) for axes in fig.axes)


def test_the_smooth_line_is_the_running_mean_of_the_faint_one():
    values = np.random.default_rng(0).uniform(1, 2, 120)
    logged = [{"step": 10 * i, "loss": value} for i, value in enumerate(values)]
    raw, smooth = lines(curves.figure({"joint": logged}).axes[0], "loss")
    np.testing.assert_array_equal(raw.get_xydata(), np.stack([10 * np.arange(120), values], 1))
    expected = [np.mean(values[max(0, i - 3) : i + 4]) for i in range(120)]
    np.testing.assert_allclose(smooth.get_ydata(), expected)
    assert raw.get_alpha() < 0.5 and smooth.get_alpha() is None


@pytest.mark.parametrize(
    ("values", "scale"), [([9, 0.1], "log"), ([2, 1], "linear"), ([9, 0.1, 0], "linear")]
)
def test_a_wide_range_gets_a_log_scale(values, scale):
    logged = [{"step": i, "loss": value} for i, value in enumerate(values)]
    assert curves.figure({"joint": logged}).axes[0].get_yscale() == scale


def test_what_is_not_finite_or_not_logged_is_left_out():
    logged = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": float("nan"), "end": 3.0}]
    logged += [{"step": 3, "loss": float("inf")}, {"step": 4, "loss": 7.0}]
    axes = curves.figure({"joint": logged}).axes[0]
    assert lines(axes, "loss")[0].get_xydata().tolist() == [[1, 1], [4, 7]]
    assert lines(axes, "end")[0].get_xydata().tolist() == [[2, 3]]


def test_no_stage_at_all_is_an_error():
    with pytest.raises(UserError, match="training curves"):
        curves.figure({})


def row(start, average, maps, fidelity="temporal", head="gtad", **rest):
    scores = {"average_mAP": average, "mAP": maps}
    return {"start": start, "fidelity": fidelity, "head": head, **scores, **rest}


def test_the_table_of_results():
    agnostic = {"class_agnostic": {"average_mAP": 0.5, "mAP": {"0.50": 0.7}}}
    maps = {"0.50": 0.4, "0.60": 0.3, "0.75": 0.2, "0.95": 0.0123}
    rows = [
        row("acp", 0.228, maps, "full", **agnostic, AUC=0.4),
        row("lofi", 0.371, maps | {"0.50": 1.0}),
    ]
    assert tables.results({"dataset": "synthetic", "rows": rows, "seconds": {}}) == (
        "start  fidelity  head  mAP@0.50  mAP@0.75  mAP@0.95  average  class-agnostic\n"
        "acp    full      gtad     40.00     20.00      1.23    22.80           50.00\n"
        "lofi   temporal  gtad    100.00     20.00      1.23    37.10               -\n"
        "\n"
        "lofi - acp: +14.3 points"
    )


def test_rows_of_one_start_are_told_apart():
    rows = [
        row("icp", 0.1, {}),
        row("acp", 0.2, {}),
        row("lofi", 0.1999, {}),
        row("lofi", 0.25, {}, "long_cycle", "bmn"),
    ]
    assert tables.results({"rows": rows}).splitlines()[-3:] == [
        "icp - acp: -10.0 points",
        "lofi (temporal, gtad) - acp: +0.0 points",
        "lofi (long_cycle, bmn) - acp: +5.0 points",
    ]


def test_the_table_shows_all_tious_of_thumos_and_a_dash_for_no_figure():
    assert tables.results({"rows": [row("lofi", float("nan"), {"0.30": 0.5, "0.50": 0.25})]}) == (
        "start  fidelity  head  mAP@0.30  mAP@0.50  average  class-agnostic\n"
        "lofi   temporal  gtad     50.00     25.00        -               -"
    )


def test_a_table_without_rows_is_its_heading():
    assert tables.results({"rows": []}) == "start  fidelity  head  average  class-agnostic"


def test_the_table_of_seconds():
    assert tables.seconds({"data": 12.31, "pretrain": 59.97, "joint": 36000.0}) == (
        "stage      h:mm:ss.s\n"
        "data       0:00:12.3\n"
        "pretrain   0:01:00.0\n"
        "joint     10:00:00.0\n"
        "total     10:01:12.3"
    )
    assert tables.seconds({}).splitlines()[-1].split() == ["total", "0:00:00.0"]


def test_reports_leave_no_trace_in_the_process(tmp_path):
    code = f"""
        import sys
        from lofi_jax.reports import bars, curves, tables, timelines
        timelines.draw({str(tmp_path / "a.png")!r}, "v_a", 9.0, [("lofi", [])])
        curves.draw({str(tmp_path / "b.png")!r}, {{"joint": [{{"step": 1, "loss": 2.0}}]}})
        assert not {{"matplotlib.pyplot", "jax"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    assert pixels(tmp_path / "a.png").size and pixels(tmp_path / "b.png").size


def a_run(*rows):
    return {
        "rows": [
            {
                "start": start,
                "fidelity": low,
                "head": "gtad",
                "average_mAP": value,
                "class_agnostic": {"average_mAP": value + 0.1},
            }
            for start, low, value in rows
        ]
    }


STUDY = [
    a_run(("acp", "none", 0.20), ("lofi", "temporal", 0.30)),
    a_run(("acp", "none", 0.22), ("lofi", "temporal", 0.36)),
]


def test_a_lead_is_over_the_frozen_row_of_the_same_head():
    run = a_run(("acp", "none", 0.2), ("acp", "none", 0.3), ("lofi", "temporal", 0.4))
    for row in run["rows"][1:]:
        row["head"] = "bmn"
    leads = [line.split()[-1] for line in tables.study([run]).splitlines()[1:]]
    assert leads == ["-", "-", "+10.0"]


def test_a_study_tells_mean_deviation_and_lead():
    assert tables.study(STUDY).splitlines() == [
        "start  fidelity  head     average  class-agnostic        - acp",
        "acp    none      gtad  21.0 ± 1.4      31.0 ± 1.4            -",
        "lofi   temporal  gtad  33.0 ± 4.2      43.0 ± 4.2  +12.0 ± 2.8",
    ]
    assert tables.study(STUDY[:1]).splitlines()[-1].split() == [
        *("lofi", "temporal", "gtad", "30.0", "40.0", "+10.0")
    ]


def test_pooled_folds_tell_intervals_and_the_lead_over_the_frozen_row():
    run = a_run(("acp", "none", 0.2), ("lofi", "temporal", 0.4))
    run["rows"][0] |= {"interval": [0.15, 0.26]}
    run["rows"][1] |= {"interval": [0.3, 0.5], "lead": 0.2, "lead_interval": [-0.011, 0.35]}
    assert tables.pooled(run).splitlines() == [
        "start  fidelity  head  average           95%  class-agnostic  - acp            95%",
        "acp    none      gtad     20.0  15.0 to 26.0            30.0      -              -",
        "lofi   temporal  gtad     40.0  30.0 to 50.0            50.0  +20.0  -1.1 to +35.0",
    ]


@pytest.mark.parametrize("runs", [STUDY, STUDY[:1]])
def test_a_study_is_drawn(runs, tmp_path):
    bars.draw(tmp_path / "study.png", runs, "mean of seeds")
    image = cv2.imread(str(tmp_path / "study.png"))
    assert image.shape[1] == 1050 and (image.min(axis=2) < 230).mean() > 0.05


def test_whiskers_are_the_range_of_two_seeds_and_an_interval_of_more():
    values = np.array([[10.0, 5.0], [14.0, 5.0], [12.0, 8.0]])
    np.testing.assert_allclose(bars.interval(values[:2]), [[2, 0], [2, 0]])
    # 4.303 x 2 / sqrt(3), and 4.303 x sqrt(3) / sqrt(3).
    np.testing.assert_allclose(bars.interval(values), [[4.968, 4.303]] * 2, rtol=2e-3)


def test_every_seed_of_a_study_is_a_dot():
    (axes,) = bars.figure(STUDY, "mean of seeds").axes
    dots = np.concatenate(
        [line.get_xdata() for line in axes.get_lines() if line.get_marker() == "o"]
    )
    np.testing.assert_allclose(sorted(dots), sorted([20, 22, 30, 32, 30, 36, 40, 46]))


def test_a_study_with_long_names_cuts_no_text():
    row = (("lofi", "spatiotemporal, and some more of it", 0.5),)
    fig = bars.figure([a_run(*row)] * 4, "mean of 4 seeds")
    fig.draw_without_rendering()
    assert fig.get_supxlabel().startswith("bars: mean of 4 seeds")
    drawn = fig.get_tightbbox()
    assert 0 <= drawn.x0 and drawn.x1 <= fig.get_figwidth()


def test_a_timeline_says_what_it_leaves_out():
    scores = np.concatenate([[0.5, 0.051, 0.049], np.linspace(0.1, 0.4, 20)])
    many = Detections(np.tile([1.0, 2.0], (23, 1)), ["run"] * 23, scores)
    shown = [segment.score for segment in images.strongest(many)]
    assert len(shown) == 15 and shown[0] == 0.5 and min(shown) > 0.15
    few = many[[0, 1, 2]]
    assert [segment.score for segment in images.strongest(few)] == [0.5, 0.051]
    fig = timelines.figure("v", 8, [("lofi", images.strongest(few))], note=images.RULE)
    assert "none under a tenth of the row's best score" in fig.texts[-1].get_text()


def test_values_of_a_diagnosis_stand_over_the_line_of_all():
    row = {"bucket": "XS", "from": 0, "to": 1, "missed": 0.5}
    fig = diagnosis.instances({"missed": 0.53, "instances": {"length": [row]}}, "missed")
    (axes,) = fig.axes
    (value,), (line,) = axes.texts, axes.get_lines()
    assert value.get_text() == "50.0" and value.get_zorder() > line.get_zorder()
    assert value.get_bbox_patch().get_facecolor() == to_rgb("white") + (1,)
