"""Annotations and settings for OpenTAD (github.com/sming256/OpenTAD) and ActionFormer
(github.com/happyharrycn/ actionformer_release), beside features of one .npy per video, (length, C)
float32.

Where a layout counts frames, a snippet counts as two, so that its centre lies on a whole one.
Feature l then lies at (l + 0.5) snippets in both.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from lofi_jax.data.annotations.activitynet import Video

NAMES = ("opentad", "actionformer")

# "Frames" per snippet.
_FRAMES = 2
# ActionFormer's pyramid halves the length five times.
_DEEPEST_STRIDE = 32


@dataclasses.dataclass(frozen=True)
class Form:
    """How features are spaced over their videos.

    Attributes:
        width: their channels, C.
        snippets: their number in every video, evenly spread over its duration; with a rate, in a
            window.
        rate: snippets a second of videos that have as many as they are long; 0: all have the same
            number.
        overlap: fraction of a window shared with the next.
    """

    width: int
    snippets: int
    rate: float = 0.0
    overlap: float = 0.0


def database(
    videos: Sequence[Video], lengths: Sequence[int], classes: Sequence[str], rate: float
) -> dict[str, Any]:
    """The annotation file: ActivityNet's form with the keys "frame" (OpenTAD), "fps" and "label_id"
    (ActionFormer).

    Args:
        videos: with their durations.
        lengths: snippets of each.
        classes: a label's id is its index here.
        rate: see `Form`.
    """
    return {
        "version": "lofi_jax",
        "database": {
            video.video_id: {
                "subset": video.subset,
                "duration": video.duration,
                "frame": _FRAMES * length,
                "fps": _FRAMES * (rate or length / video.known_duration),
                "annotations": [
                    {"segment": segment, "label": label, "label_id": classes.index(label)}
                    for segment, label in zip(video.segments.tolist(), video.labels, strict=True)
                ],
            }
            for video, length in zip(videos, lengths, strict=True)
        },
    }


def opentad_config(
    features: str, annotations: str, class_file: str, subsets: tuple[str, str], form: Form
) -> str:
    """A dataset's config file, for `_base_` of an OpenTAD config, in Python.

    Args:
        features: the folder.
        annotations, class_file: the files.
        subsets: to train and to test on.
    """
    if form.rate:
        kind = f"""type="AnetSlidingDataset",
        fps={_FRAMES * form.rate},
        feature_stride={_FRAMES},
        offset_frames={_FRAMES // 2},
        window_size={form.snippets},
        window_overlap_ratio={form.overlap},"""
        step = 'dict(type="SlidingWindowTrunc", with_mask=True)'
    else:
        kind = f"""type="AnetResizeDataset",
        resize_length={form.snippets},"""
        step = 'dict(type="ResizeFeat", tool="interpolate")'

    def part(subset: str, labelled: bool) -> str:
        truth = ["gt_segments", "gt_labels"] if labelled else []
        return f"""dict(
        {kind}
        ann_file={annotations!r},
        subset_name={subset!r},
        class_map={class_file!r},
        data_path={features!r},
        block_list=None,
        filter_gt=False,
        class_agnostic=False,
        test_mode={not labelled},
        pipeline=[
            dict(type="LoadFeats", feat_format="npy"),
            dict(type="ConvertToTensor", keys={["feats", *truth]!r}),
            {step},
            dict(type="Rearrange", keys=["feats"], ops="t c -> c t"),
            dict(type="Collect", inputs="feats", keys={["masks", *truth]!r}),
        ],
    )"""

    train, test = subsets
    return f"""# Model input: length {form.snippets}, projection=dict(in_channels={form.width}).
dataset = dict(
    train={part(train, True)},
    val={part(test, True)},
    test={part(test, False)},
)
evaluation = dict(
    type="mAP",
    subset={test!r},
    tiou_thresholds=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
    ground_truth_filename={annotations!r},
)
"""


def actionformer_config(
    features: str, annotations: str, subsets: tuple[str, str], classes: int, form: Form
) -> str:
    """A config file of ActionFormer, JSON as YAML; whatever it leaves out keeps ActionFormer's
    defaults.

    Args:
        features: the folder.
        annotations: the file.
        subsets: to train and to test on.
        classes: their number.
    """
    train, test = subsets
    # A stride that is not above 0: a fixed number of features a video, each standing for
    # `num_frames` of their spacing.
    spacing = (
        {"feat_stride": _FRAMES, "num_frames": _FRAMES, "force_upsampling": False}
        if form.rate
        else {"feat_stride": -1, "num_frames": 1, "force_upsampling": True}
    )
    config = {
        "dataset_name": "anet",
        "train_split": [train.lower()],
        "val_split": [test.lower()],
        "dataset": {
            "json_file": annotations,
            "feat_folder": features,
            "file_prefix": None,
            "file_ext": ".npy",
            "num_classes": classes,
            "input_dim": form.width,
            "default_fps": None,
            "downsample_rate": 1,
            "trunc_thresh": 0.5,
            "crop_ratio": None,
            "max_seq_len": -(-form.snippets // _DEEPEST_STRIDE) * _DEEPEST_STRIDE,
        }
        | spacing,
        "model": {"n_mha_win_size": -1, "max_buffer_len_factor": 6.0 if form.rate else 1.0},
        "output_folder": "./ckpt/",
    }
    return json.dumps(config, indent=1)
