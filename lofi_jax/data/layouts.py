"""Annotations and settings as OpenTAD (github.com/sming256/OpenTAD) and ActionFormer (github.com/happyharrycn/
actionformer_release) read them beside features of one .npy a video, (L, C) float32.

A video has as many features as any other, evenly spread over its duration; where a layout counts frames, a snippet
counts as one: L of them, L / duration a second. Feature l then lies at (l + 0.5) / L of the duration in both.
"""

import json
from collections.abc import Sequence
from typing import Any

from lofi_jax.data.annotations import Video

NAMES = ("opentad", "actionformer")

# ActionFormer's pyramid halves the length five times.
_DEEPEST_STRIDE = 32


def database(videos: Sequence[Video], classes: Sequence[str], snippets: int) -> dict[str, Any]:
    """The annotation file: ActivityNet's form with the keys "frame" (OpenTAD), "fps" and "label_id" (ActionFormer).

    Args:
        videos: with their durations.
        classes: a label's id is its place here.
        snippets: L.
    """
    return {
        "version": "lofi_jax",
        "database": {
            video.video_id: {
                "subset": video.subset,
                "duration": video.duration,
                "frame": snippets,
                "fps": snippets / video.duration,
                "annotations": [
                    {"segment": segment, "label": label, "label_id": classes.index(label)}
                    for segment, label in zip(video.segments.tolist(), video.labels, strict=True)
                ],
            }
            for video in videos
        },
    }


def opentad_config(
    features: str,
    annotations: str,
    class_file: str,
    subsets: tuple[str, str],
    snippets: int,
    width: int,
) -> str:
    """A dataset's config file, for `_base_` of an OpenTAD config, in Python.

    Args:
        features: the folder.
        annotations, class_file: the files.
        subsets: to train and to test on.
        snippets, width: L and C.
    """

    def part(subset: str, labelled: bool) -> str:
        keys = ["feats", "gt_segments", "gt_labels"] if labelled else ["feats"]
        return f"""dict(
        type="AnetResizeDataset",
        ann_file={annotations!r},
        subset_name={subset!r},
        class_map={class_file!r},
        data_path={features!r},
        block_list=None,
        filter_gt=False,
        class_agnostic=False,
        test_mode={not labelled},
        resize_length={snippets},
        pipeline=[
            dict(type="LoadFeats", feat_format="npy"),
            dict(type="ConvertToTensor", keys={keys!r}),
            dict(type="ResizeFeat", tool="interpolate"),
            dict(type="Rearrange", keys=["feats"], ops="t c -> c t"),
            dict(type="Collect", inputs="feats", keys={["masks", *keys[1:]]!r}),
        ],
    )"""

    train, test = subsets
    return f"""# The model's input: projection=dict(in_channels={width}), of length {snippets}.
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
    features: str,
    annotations: str,
    subsets: tuple[str, str],
    classes: int,
    snippets: int,
    width: int,
) -> str:
    """A config file of ActionFormer, JSON as YAML; whatever it leaves out keeps ActionFormer's defaults.

    Args:
        features: the folder.
        annotations: the file.
        subsets: to train and to test on.
        classes: their number.
        snippets, width: L and C.
    """
    train, test = subsets
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
            "input_dim": width,
            # Not above 0: features of a fixed number a video, each standing for `num_frames` of their spacing.
            "feat_stride": -1,
            "num_frames": 1,
            "default_fps": None,
            "downsample_rate": 1,
            "trunc_thresh": 0.5,
            "crop_ratio": None,
            "max_seq_len": -(-snippets // _DEEPEST_STRIDE) * _DEEPEST_STRIDE,
            "force_upsampling": True,
        },
        "model": {"n_mha_win_size": -1, "max_buffer_len_factor": 1.0},
        "output_folder": "./ckpt/",
    }
    return json.dumps(config, indent=1)
