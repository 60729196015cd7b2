"""Small video files made with PyAV, of numbered images."""

from fractions import Fraction

import av
import numpy as np

from lofi_jax.data.video import video_file

BITS = 10


def numbered(number: int, height: int = 32) -> np.ndarray:
    """An image that says its number in black and white squares, whatever compression does."""
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8), 16)
    return np.broadcast_to(row[None, :, None], (height, len(row), 3)).copy()


def number(image: np.ndarray) -> int:
    squares = image.mean(axis=(0, 2)).reshape(BITS, -1).mean(axis=1) > 127
    return int((squares * (1 << np.arange(BITS))).sum())


def write(
    path,
    frames,
    fps=10,
    codec="libx264",
    pixels="yuv420p",
    stamps=None,
    tags=None,
    shape=lambda stream: None,
    **options,
):
    """Encodes frames; `stamps` are milliseconds, `tags` options of the container, `shape` sets the
    stream up.
    """
    with av.open(str(path), "w", options=tags or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        clock = Fraction(1, fps) if stamps is None else Fraction(1, 1000)
        stream.codec_context.time_base = clock
        shape(stream)
        for place, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = place if stamps is None else stamps[place]
            frame.time_base = clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_frames(path, times, short_side=None):
    """The frames at times in any order (N, H, W, 3); of a video that breaks those before, and the
    second where it does.

    Raises:
        VideoError: there is not one.
    """
    order = np.argsort(times, kind="stable")
    frames, broke = {}, None
    try:
        shown = video_file.frames_at(path, np.asarray(times, float)[order], short_side)
        for place, frame in zip(order, shown, strict=True):
            frames[place] = frame
    except video_file.BrokenVideo as broken:
        if not frames:
            raise
        broke = broken.seconds
    return np.stack([frames[place] for place in sorted(frames)]), broke


def join(path, parts, seconds):
    """Writes videos of some seconds each one after the other, without a second compression."""
    with av.open(str(path), "w") as out:
        stream, begin = None, 0
        for part in parts:
            with av.open(str(part)) as one:
                source = one.streams.video[0]
                stream = stream or out.add_stream_from_template(source)
                for packet in one.demux(source):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + begin, packet.dts + begin
                        packet.stream = stream
                        out.mux(packet)
                begin += round(seconds / source.time_base)
