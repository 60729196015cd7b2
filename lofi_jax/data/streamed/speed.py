"""The speed of reading frames from the video files, beside that of a prepared dataset."""

import time

import cv2
import numpy as np

from lofi_jax.data.streamed.scan import Scan
from lofi_jax.data.video import jpeg, video_file

_VIDEOS, _FRAMES = 2, 64


def compare(scan: Scan) -> str:
    """Reads the first frames of the first videos both ways, at full size, for a line to the user.

    Measures processor time, so that other work on the machine does not matter.
    """
    streamed = prepared = frames = 0.0
    split = next(name for name, count in scan.report.videos.items() if count)
    records = scan.records(split)
    for i in range(min(_VIDEOS, len(records))):
        there = records.frames(i)
        seconds = np.sort(there.seconds[:_FRAMES])
        begun = time.thread_time()
        images = list(video_file.frames_at(there.path, seconds, there.short_side))
        streamed += time.thread_time() - begun
        prepared += _seconds_prepared(images, scan.quality)
        frames += len(images)
    return (
        f"streaming reads {frames / streamed:.0f} frames a second and core from the video files;"
        " prepared,"
        f" it would be {frames / prepared:.0f}, {streamed / prepared:.1f} times as many"
    )


def _seconds_prepared(images: list[np.ndarray], quality: int) -> float:
    jpegs = [
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        for image in images
    ]
    height, width = images[0].shape[:2]
    clip = np.empty((len(jpegs), height, width, 3), np.uint8)
    begun = time.thread_time()
    jpeg.decode(jpegs, (height, width), jpeg.Crop(0, 0, 1, 1), clip)
    return time.thread_time() - begun
