import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from lofi_jax.data.annotations import activitynet
from lofi_jax.detection import metrics, thresholds
from lofi_jax.detection.metrics import Instances
from lofi_jax.results import ground_truth

HALF = np.array([0.5])
TIOUS_THUMOS = thresholds.parse(thresholds.THUMOS, "")


def instances(*rows):
    """From rows of (video, label, start, end, score); ground truth leaves the score out."""
    rows = [(*row, 1.0)[:5] for row in rows]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5)
    video, label = columns[:, :2].T.astype(np.int64)
    return Instances(video, label, columns[:, 2:4], columns[:, 4])


def rows_of(found):
    return [
        (video, label, start, end, score)
        for video, label, (start, end), score in zip(
            *(array.tolist() for array in found), strict=True
        )
    ]


def literal_tiou(a, b):
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    return overlap / ((b[1] - b[0]) + (a[1] - a[0]) - overlap) if overlap > 0 else 0.0


def literal_average_precision(ground_truth, predictions, label, threshold):
    """The definition, step by step, for one class and threshold."""
    truths = {}
    for video, of_label, start, end, _ in rows_of(ground_truth):
        if of_label == label:
            truths.setdefault(video, []).append((start, end))
    positives = sum(map(len, truths.values()))
    if not positives:
        return math.nan
    of_class = [row for row in rows_of(predictions) if row[1] == label]
    of_class.sort(key=lambda row: -row[4])
    taken = set()
    hits = 0
    precision, recall = [0.0], [0.0]
    for count, (video, _, start, end, _) in enumerate(of_class, 1):
        candidates = list(enumerate(truths.get(video, [])))
        candidates.sort(key=lambda pair: -literal_tiou((start, end), pair[1]))
        for index, segment in candidates:
            close = literal_tiou((start, end), segment) >= threshold
            if close and (video, index) not in taken:
                taken.add((video, index))
                hits += 1
                break
        precision.append(hits / count)
        recall.append(hits / positives)
    precision.append(0.0)
    recall.append(1.0)
    for index in reversed(range(len(precision) - 1)):
        precision[index] = max(precision[index], precision[index + 1])
    return sum(
        (recall[index] - recall[index - 1]) * precision[index] for index in range(1, len(recall))
    )


def literal_average_recall(ground_truth, predictions, tious, max_proposals=100):
    """The definition, step by step: (average number of proposals, recall) at each point."""
    truths, proposals = {}, {}
    for video, _, start, end, _ in rows_of(ground_truth):
        truths.setdefault(video, []).append((start, end))
    for video, _, start, end, score in rows_of(predictions):
        proposals.setdefault(video, []).append((score, (start, end)))
    ratio = max_proposals * float(len(truths)) / max(len(predictions.video), 1)
    kept = {}
    for video in truths:
        ranked = sorted(proposals.get(video, []), key=lambda pair: -pair[0])
        kept[video] = [segment for _, segment in ranked][: int(len(ranked) * ratio)]
    total = sum(map(len, kept.values()))
    points = []
    for number in range(1, max_proposals + 1):
        if not total:
            points.append((float(number), 0.0))
            continue
        share = number / float(max_proposals) * (max_proposals * float(len(truths)) / total)
        found = 0
        for threshold in tious:
            for video, segments in truths.items():
                cut = kept[video][: int(len(kept[video]) * share)]
                for segment in segments:
                    found += any(literal_tiou(other, segment) >= threshold for other in cut)
        recall = found / sum(map(len, truths.values())) / len(tious)
        points.append((share * total / len(truths), recall))
    numbers, recalls = zip(*points, strict=True)
    return np.array(numbers), np.array(recalls)


TIMES = st.one_of(st.integers(0, 10).map(float), st.floats(0, 10, width=32))
SCORES = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(-1, 1, width=32))
SEGMENT = st.tuples(TIMES, TIMES).map(sorted)


def some_instances(min_size, max_size, video, score):
    row = st.tuples(st.integers(0, video), st.integers(0, 2), SEGMENT, score)
    flat = row.map(lambda row: (row[0], row[1], *row[2], row[3]))
    return st.lists(flat, min_size=min_size, max_size=max_size).map(lambda rows: instances(*rows))


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(
    ground_truth=some_instances(1, 10, 2, st.just(1.0)),
    predictions=some_instances(0, 25, 3, SCORES),
    tious=st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]), min_size=1, unique=True),
)
def test_average_precision_equals_the_literal_definition(ground_truth, predictions, tious):
    result = metrics.average_precision(ground_truth, predictions, 3, np.array(tious))
    expected = [
        [literal_average_precision(ground_truth, predictions, label, tiou) for tiou in tious]
        for label in range(3)
    ]
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-9)


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(
    ground_truth=some_instances(1, 8, 2, st.just(1.0)),
    predictions=some_instances(0, 25, 3, SCORES),
    max_proposals=st.sampled_from([1, 3, 10]),
)
def test_average_recall_equals_the_literal_definition(ground_truth, predictions, max_proposals):
    tious = np.array([0.3, 0.5, 0.9])
    numbers, recall = metrics.average_recall(ground_truth, predictions, tious, max_proposals)
    expected = literal_average_recall(ground_truth, predictions, tious, max_proposals)
    np.testing.assert_allclose(numbers, expected[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(recall, expected[1], rtol=0, atol=1e-9)


def precision_of(ground_truth, predictions, tious=HALF):
    return metrics.average_precision(ground_truth, predictions, 1, tious)[0].tolist()


def test_average_precision_by_hand():
    truth = instances((0, 0, 0, 10), (1, 0, 0, 10))
    # Hit, miss, hit: precision 1 at the first half of the recall, 2/3 at the second.
    found = instances((0, 0, 0, 9, 0.9), (0, 0, 50, 60, 0.8), (1, 0, 0, 9, 0.7))
    assert precision_of(truth, found) == pytest.approx([(1 + 2 / 3) / 2])
    # Miss, miss, hit, hit: the precision rises to 1/2 at the end, and counts as that all along.
    found = instances(
        (0, 0, 50, 60, 0.9), (0, 0, 50, 60, 0.8), (0, 0, 0, 9, 0.7), (1, 0, 0, 9, 0.6)
    )
    assert precision_of(truth, found) == pytest.approx([0.5])


def test_a_tiou_at_the_threshold_matches():
    truth, found = instances((0, 0, 0, 10)), instances((0, 0, 0, 5, 1))
    assert precision_of(truth, found, np.array([0.5, 0.51])) == [1, 0]


def test_a_second_detection_of_one_action_is_false():
    truth = instances((0, 0, 0, 10), (0, 0, 50, 60))
    found = instances((0, 0, 0, 10, 0.9), (0, 0, 0, 10, 0.8), (0, 0, 50, 60, 0.7))
    assert precision_of(truth, found) == pytest.approx([(1 + 2 / 3) / 2])


def test_where_the_best_is_taken_the_next_best_matches():
    truth = instances((0, 0, 0, 10), (0, 0, 2, 12))
    found = instances((0, 0, 0, 10, 0.9), (0, 0, 0.5, 10.5, 0.8))
    assert precision_of(truth, found) == [1]


def test_a_detection_counts_in_its_own_video_and_class_only():
    truth = instances((0, 0, 0, 10), (0, 1, 0, 10))
    found = instances((1, 0, 0, 10, 0.9), (0, 1, 0, 10, 0.9))
    assert metrics.average_precision(truth, found, 2, HALF).tolist() == [[0], [1]]
    agnostic = metrics.average_precision(
        metrics.class_agnostic(truth), metrics.class_agnostic(found), 1, HALF
    )
    # Equal scores: the false one stands first, so the hit comes at a precision of 1/2.
    assert agnostic.tolist() == [[0.25]]


def test_ties_in_score_go_by_order():
    truth = instances((0, 0, 0, 10))
    hit, miss = (0, 0, 0, 10, 0.5), (0, 0, 50, 60, 0.5)
    assert precision_of(truth, instances(hit, miss)) == [1]
    assert precision_of(truth, instances(miss, hit)) == [0.5]


def test_ties_in_tiou_go_to_the_first_ground_truth():
    first, second = (0, 0, 0, 5), (0, 0, 5, 10)
    both, left = (0, 0, 0, 10, 0.9), (0, 0, 0, 5, 0.8)
    # The long one takes the first half, on which alone the other could have matched.
    assert precision_of(instances(first, second), instances(both, left)) == [0.5]
    assert precision_of(instances(second, first), instances(both, left)) == [1]


def test_empty_and_backward_segments_match_nothing():
    truth = instances((0, 0, 5, 5), (0, 0, 0, 10))
    found = instances((0, 0, 5, 5, 0.9), (0, 0, 8, 2, 0.8), (0, 0, 0, 10, 0.7))
    assert precision_of(truth, found) == pytest.approx([1 / 3 / 2])


def test_classes_without_ground_truth_or_predictions():
    truth = instances((0, 0, 0, 10), (0, 2, 0, 10))
    found = instances((0, 0, 0, 10, 0.9), (0, 1, 0, 10, 0.9))
    result = metrics.average_precision(truth, found, 4, HALF)
    np.testing.assert_array_equal(result, [[1], [np.nan], [0], [np.nan]])
    assert metrics.evaluate(truth, found, 4, HALF)["average_mAP"] == 0.5


def test_no_predictions_at_all():
    scores = metrics.evaluate(instances((0, 0, 0, 10)), instances(), 1, HALF)
    assert scores == {
        "mAP": {"0.50": 0.0},
        "average_mAP": 0.0,
        "AR": {"1": 0.0, "5": 0.0, "10": 0.0, "100": 0.0},
        "AUC": 0.0,
    }


def test_no_ground_truth_is_an_error():
    with pytest.raises(ValueError, match="no ground truth"):
        metrics.evaluate(instances(), instances((0, 0, 0, 1, 0.5)), 1, HALF)
    with pytest.raises(ValueError, match="no ground truth"):
        metrics.average_recall(instances(), instances((0, 0, 0, 1, 0.5)), HALF)


def test_average_recall_by_hand():
    truth = instances((0, 0, 0, 10), (1, 0, 0, 10))
    # Video 0 has 3 proposals with the hit last, video 1 has one, a hit: 2 a video on average.
    found = instances(
        (0, 0, 50, 60, 0.9), (0, 0, 60, 70, 0.8), (0, 0, 0, 10, 0.7), (1, 0, 0, 10, 0.1)
    )
    numbers, recall = metrics.average_recall(truth, found, HALF, max_proposals=2)
    assert numbers.tolist() == [1, 2]
    # Half of 3 is 1, half of 1 is none: nothing found; all of them: both found.
    assert recall.tolist() == [0, 1]
    assert metrics.area_under_curve(numbers, recall) == (0 + 1) / 2 * 1 / 2


def test_a_video_without_predictions_counts_as_missed():
    truth, found = instances((0, 0, 0, 10), (7, 0, 0, 10)), instances((7, 0, 0, 10, 1))
    assert metrics.average_recall(truth, found, HALF)[1][-1] == 0.5


def test_recall_ignores_labels():
    truth, found = instances((0, 0, 0, 10)), instances((0, 1, 0, 10, 1))
    assert metrics.average_recall(truth, found, HALF)[1][-1] == 1


def test_the_official_rounding_of_the_cut_is_kept():
    truth = instances((0, 0, 0, 10))
    found = instances(*((0, 0, *((0, 10) if i == 28 else (50, 60)), -i) for i in range(100)))
    _, recall = metrics.average_recall(truth, found, HALF)
    # The hit is the 29th, but 29 / 100 * 100 is 28.999...: 29 proposals are cut to 28.
    assert (recall[28], recall[29]) == (0, 1)


def test_thresholds_are_the_benchmarks():
    np.testing.assert_allclose(metrics.TIOUS_ACTIVITYNET, np.arange(50, 100, 5) / 100)
    np.testing.assert_allclose(TIOUS_THUMOS, [0.3, 0.4, 0.5, 0.6, 0.7])


def part_of(found, chosen):
    return Instances(*(array[chosen] for array in found))


def noisy_predictions(rng, truth, videos, classes, count):
    """`count` predictions for each video: its segments, shaken, some with a wrong label."""
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(truth.video == video), count) for video in range(videos)]
    )
    length = np.ptp(truth.segment[chosen], axis=1, keepdims=True)
    segment = truth.segment[chosen] + rng.normal(0, 0.2, (len(chosen), 2)) * (length + 0.1)
    wrong = rng.random(len(chosen)) < 0.2
    label = np.where(wrong, rng.integers(0, classes, len(chosen)), truth.label[chosen])
    score = rng.random(len(chosen)).round(4)
    return Instances(truth.video[chosen], label, np.sort(segment, axis=1), score)


@pytest.mark.parametrize(
    ("file", "subset", "tious"),
    [
        ("activitynet_1.3.json", "validation", metrics.TIOUS_ACTIVITYNET),
        ("thumos14.json", "test", TIOUS_THUMOS),
    ],
)
def test_real_annotations_at_full_scale(shared_data, file, subset, tious):
    annotated = activitynet.load(shared_data / "annotations" / file, repair=False)
    videos, classes = annotated.subset(subset), annotated.classes
    truth = ground_truth.ground_truth(videos, classes)
    rng = np.random.default_rng(1)
    found = noisy_predictions(rng, truth, len(videos), len(classes), 100)
    result = metrics.average_precision(truth, found, len(classes), tious)
    scores = metrics.evaluate(truth, found, len(classes), tious)
    assert len(found.video) == 100 * len(videos)
    for label in rng.choice(len(classes), 8, replace=False):
        column = label % len(tious)
        of_class = (part_of(part, part.label == label) for part in (truth, found))
        expected = literal_average_precision(*of_class, label, tious[column])
        assert result[label, column] == pytest.approx(expected, abs=1e-9)
    assert scores["average_mAP"] == pytest.approx(result.mean(), abs=1e-12)
    few = [part_of(part, part.video < 20) for part in (truth, found)]
    recall = metrics.average_recall(*few, tious)[1]
    assert recall == pytest.approx(literal_average_recall(*few, tious)[1], abs=1e-9)


def test_the_truth_itself_is_perfect(shared_data):
    annotated = activitynet.load(shared_data / "annotations" / "thumos14.json")
    truth = ground_truth.ground_truth(annotated.subset("test"), annotated.classes)
    scores = metrics.evaluate(truth, truth, len(annotated.classes), TIOUS_THUMOS)
    assert scores["average_mAP"] == 1
    assert scores["AR"]["100"] == 1
