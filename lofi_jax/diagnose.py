"""Says why detections are wrong, after DETAD (see detection/diagnosis.py).

python -m lofi_jax.diagnose --ground_truth=annotations.json --predictions=detections.json \\
    --subset=validation --output_dir=diagnosis

Predictions in videos outside the subset are false, unless --ignore_other_videos is given. Writes
diagnosis.json, three plots, and report.html: the same in a single file that opens offline, with
links to the errors that cost most, on timelines of their videos. With --video_dir the page plays
them too, linked into the folder.
"""

import pathlib
from collections.abc import Container, Mapping, Sequence

import numpy as np
from absl import flags

from lofi_jax import errors
from lofi_jax.detection import buckets, diagnosis, metrics, thresholds
from lofi_jax.detection.matching import Instances, ranked
from lofi_jax.errors import UserError
from lofi_jax.files import aside, try_to_write, write_json, write_text
from lofi_jax.jobs import view
from lofi_jax.reports import diagnosis as report
from lofi_jax.reports import inline_images, pages
from lofi_jax.reports.viewer import links, part
from lofi_jax.results import ground_truth, side_by_side
from lofi_jax.results.ground_truth import Truth

_GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Annotation file.", required=True)
_PREDICTIONS = flags.DEFINE_string("predictions", None, "Prediction file.", required=True)
_SUBSET = flags.DEFINE_string("subset", None, "The videos to look at.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder for the report.", required=True)
_IGNORE_OTHER_VIDEOS = flags.DEFINE_bool(
    "ignore_other_videos", False, "Leave out predictions in videos that are not of the subset."
)
_TIOU = flags.DEFINE_string("tiou", thresholds.ACTIVITYNET, "Thresholds, first:step:last.")
_BUCKETS = flags.DEFINE_enum(
    "buckets", "activitynet", buckets.NAMES, "Whose lengths, coverages, ... instances go by."
)
_VIDEOS = flags.DEFINE_integer(
    "videos", 5, "Best and worst videos that are shown, and errors of each type.", 0
)
_VIDEO_DIR = flags.DEFINE_string("video_dir", "", "Folder of the videos, for the page to play.")

_EXTREMES = (("best_videos", "The best videos"), ("worst_videos", "The worst videos"))
_PLOTS = {
    "false_positives.png": report.false_positives,
    "missed.png": lambda result: report.instances(result, "missed"),
    "precision.png": lambda result: report.instances(result, "average_mAP_N"),
}


def main() -> None:
    tious = thresholds.parse(_TIOU.value, "--tiou")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    for name in ("diagnosis.json", *_PLOTS, "report.html"):
        try_to_write(folder / name)
    truth, (found,) = ground_truth.load(
        _GROUND_TRUTH.value, _SUBSET.value, [_PREDICTIONS.value], _IGNORE_OTHER_VIDEOS.value
    )
    counted, classes = truth.count(found)
    result = _diagnose(truth, counted, classes, tious)
    write_json(folder / "diagnosis.json", result)
    figures = {name: draw(result) for name, draw in _PLOTS.items()}
    with errors.naming_full_disk(folder):
        for name, figure in figures.items():
            with aside(folder / name) as unfinished:
                figure.savefig(unfinished, format="png")
    judged = side_by_side.judged(truth, {pathlib.Path(_PREDICTIONS.value).name: found}, tious)
    moments = links.errors(judged, _VIDEOS.value)
    shown = {one.video for many in moments.values() for one in many}
    shown |= {one["video"] for key, _ in _EXTREMES for one in result[key]}
    data, placed = view.with_videos(_some(judged, shown), _files(), folder)
    page = _page(truth, result, list(figures.values()), moments, data)
    write_text(folder / "report.html", page)
    print(_summary(result) + "\n\n" + report.text(result))
    if _VIDEO_DIR.value:
        print(f"\n{placed.summary()}")
    print(f"\n{folder / 'report.html'} has everything, with plots and timelines")


def _diagnose(truth: Truth, found: Instances, classes: int, tious: np.ndarray) -> dict:
    wanted = truth.instances
    sound = diagnosis.sound(wanted, truth.durations)
    if not sound.any():
        raise UserError(
            f"{truth.annotated.path}: no segment of subset {truth.subset!r} ends after its start"
            " and within its video"
        )
    kept = wanted.take(sound)
    kinds = buckets.buckets(buckets.characteristics(wanted, truth.durations, sound), _BUCKETS.value)
    average = metrics.average_precision(wanted, found, classes, tious)
    of_video = diagnosis.video_precision(wanted, ranked(found), classes, tious)
    return {
        "ground_truth": _GROUND_TRUTH.value,
        "predictions": _PREDICTIONS.value,
        "subset": _SUBSET.value,
        "videos": len(truth.videos),
        "instances_left_out": int((~sound).sum()),
        "average_mAP": float(np.nanmean(average)),
        **diagnosis.diagnose(kept, found, classes, tious, kinds),
        **_extremes(truth, of_video[: len(truth.videos)]),
    }


def _extremes(truth: Truth, of_video: np.ndarray) -> dict[str, list]:
    """The best and the worst videos; ties go to those with the most instances."""
    ids = list(truth.videos)
    numbers = np.array([len(video.labels) for video in truth.videos.values()])
    annotated = np.flatnonzero(numbers)
    best = annotated[np.lexsort((-numbers[annotated], -of_video[annotated]))]
    worst = annotated[np.lexsort((-numbers[annotated], of_video[annotated]))]
    return {
        name: [
            {"video": ids[i], "average_precision": of_video[i], "instances": int(numbers[i])}
            for i in order[: min(_VIDEOS.value, len(order) // 2)]
        ]
        for name, order in (("best_videos", best), ("worst_videos", worst))
    }


def _summary(result: Mapping) -> str:
    left_out = result["instances_left_out"]
    return (
        f"average mAP {100 * result['average_mAP']:.2f}, normalised"
        f" {100 * result['average_mAP_N']:.2f}, "
        f"{100 * result['missed']:.1f} percent of the instances missed"
        + (
            f"; {left_out} instances without length or past their video left out"
            if left_out
            else ""
        )
    )


def _page(
    truth: Truth,
    result: Mapping,
    figures: Sequence,
    moments: Mapping[str, Sequence[links.Moment]],
    data: Mapping,
) -> str:
    errors_plot, missed_plot, precision_plot = figures
    kinds = ", ".join(result["instances"])
    parts = [
        pages.paragraph(
            f"{_PREDICTIONS.value} against the {len(truth.videos)} videos of {_SUBSET.value!r} in"
            f" {_GROUND_TRUTH.value}: "
            f"{_summary(result)}. Figures are means over the tIoU thresholds {_TIOU.value}; the"
            " definitions are DETAD's "
            "(Alwassel et al., ECCV 2018)."
        ),
        pages.heading("What goes wrong"),
        inline_images.image(errors_plot, "predictions by type, and the gain from fixing each type"),
        pages.paragraph(
            "G is a class's number of instances; its best 10G predictions are looked at. One that"
            " is not true is "
            "judged by the instance that it overlaps most: at or over the threshold a double"
            " detection or, of another "
            "class, a wrong label; at or over 0.1 a localization error or, of another class, a"
            " confusion; else "
            "background."
        ),
        pages.table(report.error_rows(result)),
        pages.heading("What is missed"),
        inline_images.image(missed_plot, f"share of the instances missed, by {kinds}"),
        pages.heading("What is found how well"),
        inline_images.image(precision_plot, f"normalised mAP by {kinds}"),
        pages.paragraph(
            "The dashed line is all instances. Context is the free time around an instance over"
            " its length, which is "
            "not DETAD's context size: that needs annotations of its own."
        ),
        pages.table(report.instance_rows(result)),
    ]
    parts += [
        pages.heading("Where it goes wrong"),
        pages.paragraph(
            f"At tIoU {data['tious'][0]}: of each type the detections with the best scores, and the"
            " longest of the instances that none matches. A link leads to the moment below."
        ),
    ]
    for kind, rows in moments.items():
        parts += [pages.subheading(kind), pages.links([row[1:] for row in rows])]
    for key, title in _EXTREMES:
        rows = [
            (f"{one['video']}: {100 * one['average_precision']:.1f}", links.of_video(one["video"]))
            for one in result[key]
        ]
        parts += [pages.heading(title), pages.links(rows)]
    parts += [pages.heading("The moments themselves"), part.viewer(data)]
    title = f"Diagnosis of {pathlib.Path(_PREDICTIONS.value).name}"
    return pages.page(title, parts, part.STYLE, part.POLICY)


def _some(data: Mapping, ids: Container[str]) -> dict:
    """The viewer's data with some of the videos."""
    return {**data, "videos": [video for video in data["videos"] if video["id"] in ids]}


def _files() -> dict[str, pathlib.Path] | None:
    if not _VIDEO_DIR.value:
        return None
    # Only here: it brings the libraries that read images.
    from lofi_jax.data.ingest.video_folder import find_videos

    return find_videos(_VIDEO_DIR.value)


if __name__ == "__main__":
    errors.run(main)
