"""DETAD's numbers by hand, and against a slow literal reading of its definitions."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from test_metrics import instances, literal_tiou, rows_of

from lofi_jax.detection import buckets, diagnosis, sensitivity
from lofi_jax.detection.buckets import Buckets
from lofi_jax.detection.false_positives import TYPES, false_positive_types
from lofi_jax.detection.matching import match, ranked

HALF = np.array([0.5])


def types_of(truth, found, tious=HALF):
    found = ranked(found)
    matched = match(truth, found, 3, np.asarray(tious))
    types = false_positive_types(truth, found, matched, np.asarray(tious))
    return [[TYPES[i] for i in row] for row in types]


def test_each_type_by_hand():
    truth = instances((0, 0, 0, 10), (0, 1, 20, 30))
    for found, wanted in (
        ((0, 0, 0, 8), "true positive"),
        ((0, 0, 20, 28), "wrong label"),
        ((0, 0, 0, 4), "localization"),
        ((0, 0, 20, 24), "confusion"),
        ((0, 0, 9.5, 15), "background"),  # a tIoU under 0.1
        ((0, 0, 50, 60), "background"),
        ((1, 0, 0, 10), "background"),  # nothing in that video
        ((0, 0, 5, 5), "background"),
    ):
        assert types_of(truth, instances((*found, 0.5))) == [[wanted]], found
    twice = instances((0, 0, 0, 10, 0.9), (0, 0, 0, 9, 0.8))
    assert types_of(truth, twice) == [["true positive"], ["double detection"]]
    both = types_of(truth, instances((0, 0, 0, 6, 0.9)), [0.5, 0.7])
    assert both == [["true positive", "localization"]]


def test_of_two_instances_overlapped_equally_the_own_class_counts():
    truth = instances((0, 1, 0, 10), (0, 0, 0, 10))
    assert types_of(truth, instances((0, 0, 0, 4, 0.5))) == [["localization"]]
    assert types_of(truth, instances((0, 2, 0, 4, 0.5))) == [["confusion"]]


def diagnosed(truth, found, tious=HALF, kinds=None):
    return diagnosis.diagnose(truth, found, 3, np.asarray(tious), kinds or {})


def test_gains_by_hand():
    truth = instances((0, 0, 0, 10), (0, 0, 50, 60))
    found = instances(
        (0, 0, 80, 90, 0.9), (0, 0, 0, 10, 0.8), (0, 0, 0, 9, 0.7), (0, 0, 50, 60, 0.6)
    )
    result = diagnosed(truth, found)["false_positives"]
    # Precision at the hits: 1/2 and 2/4, without the background 1 and 2/3, without the double 1/2
    # and 2/3.
    assert result["average_mAP_N"] == pytest.approx(1 / 2)
    assert result["gain"]["background"] == pytest.approx((1 + 2 / 3) / 2 - 1 / 2)
    assert result["gain"]["double detection"] == pytest.approx(2 / 3 - 1 / 2)
    assert result["gain"]["confusion"] == 0
    assert result["predictions"] == 4
    first, second = result["by_rank"][:2]
    assert (first["background"], first["true positive"]) == (0.5, 0.5)
    assert (second["double detection"], second["true positive"]) == (0.5, 0.5)
    assert result["by_tiou"]["0.50"]["true positive"] == 0.5


def test_only_the_best_ten_times_g_predictions_of_a_class_count():
    truth = instances((0, 0, 0, 10))
    found = instances(*((0, 0, 50, 60, 1 - i / 100) for i in range(15)), (0, 1, 0, 10, 1.0))
    result = diagnosed(truth, found)["false_positives"]
    assert result["predictions"] == 10
    assert [part["predictions"] for part in result["by_rank"]] == [1] * 10
    assert result["by_tiou"]["0.50"]["background"] == 1


def test_the_normalised_precision_makes_classes_of_all_sizes_compare():
    # Classes of 1 and 3 instances, so N is 2; each is found wholly, after one false positive.
    truth = instances((0, 0, 0, 10), *((i, 1, 0, 10) for i in range(3)))
    found = instances(
        (0, 0, 50, 60, 0.9),
        (0, 0, 0, 10, 0.8),
        (0, 1, 50, 60, 0.9),
        *((i, 1, 0, 10, 0.8 - i / 10) for i in range(3)),
    )
    # R x N / (R x N + 1) at full recall is 2/3 for both, and the best for every hit before.
    assert diagnosed(truth, found)["average_mAP_N"] == pytest.approx(2 / 3)


def test_a_match_at_a_low_precision_is_a_miss():
    truth = instances((0, 0, 0, 10))
    wrong = [(0, 0, 50, 60, 0.9)] * 19
    hit = (0, 0, 0, 10, 0.1)
    assert diagnosed(truth, instances(*wrong[1:], hit))["missed"] == 0  # 1 / 19
    assert diagnosed(truth, instances(*wrong, hit))["missed"] == 1  # 1 / 20, which is not over 0.05


def test_the_precision_of_some_instances_leaves_out_what_matches_others():
    truth = instances((0, 0, 0, 10), (1, 0, 0, 10))
    found = instances((0, 0, 0, 10, 0.9), (1, 0, 50, 60, 0.8), (1, 0, 0, 10, 0.7))
    kind = Buckets(("XS", "S", "M"), (0.0, 1.0, 2.0, np.inf), np.array([0, 1]))
    rows = diagnosed(truth, found, kinds={"length": kind})["instances"]["length"]
    # N is 2: the first alone has 2 / (2 + 0), the second 2 / (2 + 1).
    assert [row["average_mAP_N"] for row in rows] == [1, pytest.approx(2 / 3), None]
    assert [row["instances"] for row in rows] == [1, 1, 0]
    assert [row["missed"] for row in rows] == [0, 0, None]
    assert [(row["from"], row["to"]) for row in rows] == [(0, 1), (1, 2), (2, None)]


def test_characteristics_by_hand():
    of_one = ((0, 0, 10, 20), (0, 0, 40, 50), (0, 1, 45, 60))
    truth = instances(*of_one, (1, 0, 0, 30), (1, 1, 40, 50))
    values = buckets.characteristics(truth, np.array([100.0, np.nan]))
    np.testing.assert_allclose(values["length"], [10, 10, 15, 30, 10])
    np.testing.assert_allclose(values["coverage"], [0.1, 0.1, 0.15, np.nan, np.nan])
    # All of the video, as in DETAD's files, whatever their class.
    assert values["number"].tolist() == [3, 3, 3, 2, 2]
    # 10 before and 20 after; 20 before, and after it nothing until 100; 25 before, 40 after; not
    # known.
    np.testing.assert_allclose(values["context"], [3, 7, 65 / 15, np.nan, np.nan])


def test_instances_that_are_left_out_count_in_the_number_of_the_others():
    truth = instances((0, 0, 10, 20), (0, 0, 40, 40), (1, 0, 0, 5))
    chosen = np.array([True, False, True])
    values = buckets.characteristics(truth, np.array([100.0, 50.0]), chosen)
    assert values["number"].tolist() == [2, 1]
    assert values["length"].tolist() == [10, 5]


def test_buckets_take_their_upper_edge():
    values = {"length": np.array([0.0, 30, 30.1, 60, 500, np.nan]), "coverage": np.full(6, np.nan)}
    found = buckets.buckets(values, "activitynet")
    assert list(found) == ["length"]
    assert found["length"].of.tolist() == [0, 0, 1, 1, 4, -1]
    number = buckets.buckets({"number": np.array([1.0, 2, 4, 5, 8, 9])}, "activitynet")["number"]
    assert number.of.tolist() == [0, 1, 1, 2, 2, 3]


def test_quintiles_are_equal_where_nothing_ties():
    of = buckets.buckets({"length": np.arange(10.0)}, "quintiles")["length"].of
    assert np.bincount(of).tolist() == [2, 2, 2, 2, 2]
    tied = buckets.buckets({"number": np.ones(7)}, "quintiles")["number"]
    assert tied.names == ("XS",) and tied.of.tolist() == [0] * 7
    tied = buckets.buckets({"number": np.array([1.0, 1, 1, 1, 3])}, "quintiles")["number"]
    assert tied.edges == (1, 1, 3) and tied.of.tolist() == [0, 0, 0, 0, 1]


def test_unsound_instances():
    truth = instances((0, 0, 5, 5), (0, 0, 6, 2), (0, 0, 0, 100), (0, 0, 0, 101), (1, 0, 0, 999))
    sound = diagnosis.sound(truth, np.array([100.0, np.nan]))
    assert sound.tolist() == [False, False, True, False, True]


def test_the_precision_of_one_video():
    truth = instances((0, 0, 0, 10), (0, 1, 20, 30), (2, 0, 0, 10))
    found = instances((0, 2, 0, 10, 0.9), (0, 0, 0, 10, 0.8), (0, 1, 20, 30, 0.7), (1, 0, 0, 1, 1))
    of_video = diagnosis.video_precision(truth, ranked(found), 3, HALF)
    np.testing.assert_allclose(of_video, [2 / 3, np.nan, 0])


# A slow reading of the definitions, one prediction at a time.


def literal_matches(truth, found, tiou):
    """For each prediction, in the order given, the number of the instance that it finds, or
    None.
    """
    rows, wanted = rows_of(found), rows_of(truth)
    taken, matches = set(), [None] * len(rows)
    for i in sorted(range(len(rows)), key=lambda i: (-rows[i][4], i)):
        video, label, *segment, _ = rows[i]
        best = None
        for j, (other, of_label, *there, _) in enumerate(wanted):
            overlap = literal_tiou(segment, there)
            free = (other, of_label) == (video, label) and j not in taken and overlap >= tiou
            if free and (best is None or overlap > best[0]):
                best = (overlap, j)
        if best:
            matches[i] = best[1]
            taken.add(best[1])
    return matches


def literal_type(row, match_, truth, tiou):
    if match_ is not None:
        return "true positive"
    video, label, *segment, _ = row
    overlaps = [
        (literal_tiou(segment, there), of_label == label)
        for other, of_label, *there, _ in rows_of(truth)
        if other == video
    ]
    overlap, own = max(overlaps, default=(0.0, False))
    if overlap >= tiou:
        return "double detection" if own else "wrong label"
    if overlap >= 0.1:
        return "localization" if own else "confusion"
    return "background"


def literal_ap(rows, matches, positives, average):
    """Normalised AP of one class: rows with their matches, to instances of this class or None."""
    order = sorted(range(len(rows)), key=lambda i: (-rows[i][4], i))
    points, hits, false = [], 0, 0
    for i in order:
        hits, false = hits + (matches[i] is not None), false + (matches[i] is None)
        recall = hits / positives
        precision = recall * average / (recall * average + false)
        points.append((recall, precision, matches[i]))
    ap = sum(
        max(p for _, p, _ in points[i:]) / positives
        for i, point in enumerate(points)
        if point[2] is not None
    )
    return ap, points


def literal_diagnosis(truth, found, tious, of_bucket):
    wanted, rows = rows_of(truth), rows_of(found)
    classes = sorted({row[1] for row in wanted})
    average = len(wanted) / len(classes)
    number = {c: sum(row[1] == c for row in wanted) for c in classes}
    top = []
    for c in classes:
        of_class = [i for i, row in enumerate(rows) if row[1] == c]
        top += sorted(of_class, key=lambda i: (-rows[i][4], i))[: 10 * number[c]]
    matches = {t: literal_matches(truth, found, t) for t in tious}
    types = {t: {i: literal_type(rows[i], matches[t][i], truth, t) for i in top} for t in tious}

    def mean_ap(numbers, left_out, chosen=None):
        total = []
        for c in classes:
            positives = sum(
                w[1] == c and (chosen is None or j in chosen) for j, w in enumerate(wanted)
            )
            for t in tious if positives else ():
                kept = [i for i in numbers if rows[i][1] == c and not left_out(i, t)]
                ap, _ = literal_ap(
                    [rows[i] for i in kept], [matches[t][i] for i in kept], positives, average
                )
                total.append(ap)
        return sum(total) / len(total)

    base = mean_ap(sorted(top), lambda i, t: False)
    gain = {
        name: mean_ap(sorted(top), lambda i, t, name=name: types[t][i] == name) - base
        for name in TYPES[1:]
    }
    lost = {j: 0 for j in range(len(wanted))}
    for t in tious:
        found_here = set()
        for c in classes:
            of_class = [i for i, row in enumerate(rows) if row[1] == c]
            _, points = literal_ap(
                [rows[i] for i in of_class], [matches[t][i] for i in of_class], number[c], average
            )
            found_here |= {j for _, precision, j in points if j is not None and precision > 0.05}
        for j in lost:
            lost[j] += j not in found_here
    some = {}
    for bucket in set(of_bucket):
        chosen = {j for j in range(len(wanted)) if of_bucket[j] == bucket}

        def other(i, _, chosen=chosen):
            return any(matches[t][i] is not None and matches[t][i] not in chosen for t in tious)

        some[bucket] = (
            sum(lost[j] for j in chosen) / len(chosen) / len(tious),
            mean_ap(range(len(rows)), other, chosen),
        )
    shares = {
        t: {name: sum(x == name for x in types[t].values()) / max(len(top), 1) for name in TYPES}
        for t in tious
    }
    return base, gain, sum(lost.values()) / len(lost) / len(tious), some, shares


TIME = st.integers(0, 12).map(float)
SEGMENT = st.tuples(TIME, TIME).map(sorted).filter(lambda pair: pair[0] < pair[1])


def some_instances(least, most, score):
    row = st.tuples(st.integers(0, 1), st.integers(0, 2), SEGMENT, score)
    flat = row.map(lambda row: (row[0], row[1], *row[2], row[3]))
    return st.lists(flat, min_size=least, max_size=most).map(lambda rows: instances(*rows))


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(
    truth=some_instances(1, 6, st.just(1.0)),
    found=some_instances(0, 30, st.sampled_from([0.1, 0.4, 0.5, 0.9])),
    tious=st.sampled_from([(0.5,), (0.3, 0.5, 0.7), (0.5, 0.95)]),
    of_bucket=st.lists(st.integers(0, 2), min_size=6, max_size=6),
)
def test_equals_the_literal_reading(truth, found, tious, of_bucket):
    of_bucket = of_bucket[: len(truth.label)]
    kind = Buckets(("XS", "S", "M"), (0.0, 1.0, 2.0, 3.0), np.array(of_bucket))
    result = diagnosed(truth, found, tious, {"length": kind})
    base, gain, lost, some, shares = literal_diagnosis(truth, found, tious, of_bucket)
    close = {"abs": 1e-9}
    assert result["false_positives"]["average_mAP_N"] == pytest.approx(base, **close)
    assert result["false_positives"]["gain"] == pytest.approx(gain, **close)
    assert result["missed"] == pytest.approx(lost, **close)
    for tiou in tious:
        there = result["false_positives"]["by_tiou"][f"{tiou:.2f}"]
        assert there == pytest.approx(shares[tiou], **close)
    for bucket, (missed, precision) in some.items():
        row = result["instances"]["length"][bucket]
        assert (row["missed"], row["average_mAP_N"]) == pytest.approx((missed, precision), **close)


def test_missed_and_found_are_one_whole():
    truth = instances((0, 0, 0, 10), (0, 0, 20, 30))
    found = ranked(instances((0, 0, 0, 10, 0.9)))
    matched = match(truth, found, 1, HALF)
    assert sensitivity.missed(matched, truth, found.label, 1)[:, 0].tolist() == [False, True]
