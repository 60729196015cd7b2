"""An image of one video's timeline: ground truth above, each system's detections below."""

import bisect
import itertools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colors, patheffects, ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from lofi_jax.errors import UserError
from lofi_jax.files import aside
from lofi_jax.reports.segments import Segment

# Okabe and Ito's palette, made for colour-blind readers, with a grey for its black.
_PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#F0E442", "#56B4E9", "#7F7F7F")
_MARKS = ("///", "...", "---", "|||", "\\\\\\", "oo", "**")
_HATCHES = ("", *_MARKS, *map("".join, itertools.combinations(_MARKS, 2)))

# The layout in inches, the letters in points: it fits a page's width without scaling.
_WIDTH, _EDGE, _SIDE, _TITLE, _STRIP, _AXIS = 8.0, 0.12, 0.3, 0.3, 0.62, 0.48
_LANE, _BAR, _GAP, _LINE, _PAD = 0.18, 0.15, 0.1, 0.175, 0.04
_DPI = 200
_PLAIN, _BOLD, _SMALL = (
    FontProperties(size=size, weight=weight)
    for size, weight in ((8, "normal"), (9, "bold"), (7, "normal"))
)
_IN_ROW = {"font": _SMALL, "ha": "center", "va": "center_baseline", "parse_math": False}

_LONG = 120  # seconds: beyond, times are written as on a clock
_CLOCK = (15, 30, 60, 120, 300, 600, 900, 1200, 1800)  # seconds between the ticks then


class Colour(NamedTuple):
    """How the bars of one class look: a colour, and a hatch once the plain colours are used up."""

    face: str
    hatch: str


_UNKNOWN = Colour("#FFFFFF", "")


class _Bar(NamedTuple):
    """A segment within the video, with its place; times in seconds."""

    look: Colour
    start: float
    end: float
    lane: int
    strength: float  # 0..1
    text: str
    middle: float  # of the text


def colours(classes: Iterable[str]) -> dict[str, Colour]:
    """The look of each class, the same wherever the set of classes is the same.

    Args:
        classes: every class of the dataset, in any order; beyond 232, looks repeat.
    """
    looks = (Colour(face, hatch) for hatch in _HATCHES for face in _PALETTE)
    return dict(zip(sorted(set(classes)), itertools.cycle(looks), strict=False))


def draw(
    path: str | os.PathLike,
    title: str,
    duration: float,
    rows: Sequence[tuple[str, Sequence[Segment]]],
    frames: Sequence[np.ndarray] | np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    note: str = "",
) -> None:
    """Writes the image that `figure` makes of the same arguments to a PNG file."""
    with aside(path) as unfinished:
        figure(title, duration, rows, frames, classes, note).savefig(unfinished, format="png")


def figure(
    title: str,
    duration: float,
    rows: Sequence[tuple[str, Sequence[Segment]]],
    frames: Sequence[np.ndarray] | np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    note: str = "",
) -> Figure:
    """Draws rows of segments over one time axis; those that overlap lie in lanes of their own.

    Args:
        title: stands above the image.
        duration: of the video, in seconds.
        rows: at least one, from the top: the row's name and its segments. Ground truth has no
            scores; its extent is shaded in the rows below. The weaker a score beside the best of
            its row, the fainter its bar.
        frames: images spread evenly over the video, (H, W, 3) uint8 RGB; as many of them as
            there is room for are shown on top.
        classes: every class of the dataset, for the same colours in every image; by default, and
            where they are more than can look different, those of the rows. A label that is none
            of them is drawn white.
        note: stands below the image, such as what the rows leave out.

    Raises:
        UserError: the duration is no positive number.
    """
    if not 0 < duration < math.inf:
        raise UserError(
            f"no timeline of {title!r}: its duration is {duration} s; give the video's length"
        )
    labels = sorted({segment.label for _, segments in rows for segment in segments})
    if classes is None or len(classes) > len(_PALETTE) * len(_HATCHES):
        classes = labels
    looks = dict.fromkeys(labels, _UNKNOWN) | colours(classes)

    names = [_shorten(name, 2, _PLAIN) for name, _ in rows]
    left = max([_SIDE, *(2 * _EDGE + _wide(name, _PLAIN) for name in names)])
    across = _WIDTH - left - _SIDE
    stacks = [_stack(segments, looks, duration, across) for _, segments in rows]
    tall = [_GAP + _LANE * max((bar.lane + 1 for bar in bars), default=1) for bars in stacks]
    tops = [0.0, *itertools.accumulate(tall)]
    entries = [_shorten(label, across - 0.5, _PLAIN) for label in labels]
    columns = int(across / (0.5 + max((_wide(entry, _PLAIN) for entry in entries), default=0)))

    shown = [] if frames is None else frames
    head = _TITLE + (_STRIP + _PAD if len(shown) else 0)
    foot = _AXIS + _LINE * (math.ceil(len(entries) / columns) + bool(note)) + _EDGE
    height = head + tops[-1] + foot
    fig = Figure((_WIDTH, height), dpi=_DPI)
    FigureCanvasAgg(fig)

    def panel(top: float, high: float, **limits) -> Axes:
        box = (left / _WIDTH, 1 - (top + high) / height, across / _WIDTH, high / height)
        return fig.add_axes(box, **limits)

    top = 1 - _EDGE / height
    heading = _shorten(title, across, _BOLD)
    fig.text(left / _WIDTH, top, heading, va="top", font=_BOLD, parse_math=False)
    if len(shown):
        _draw_frames(panel(_TITLE, _STRIP, xlim=(0, across), ylim=(0, _STRIP)), shown, across)
    axes = panel(head, tops[-1], xlim=(0, duration), ylim=(tops[-1], 0))
    for top, (_, segments), bars in zip(tops, rows, stacks, strict=False):
        _draw_row(axes, top, segments, bars)
    middles = [top + high / 2 for top, high in zip(tops, tall, strict=False)]
    axes.set_yticks(middles, names, font=_PLAIN, parse_math=False)
    axes.tick_params(axis="y", length=0)
    _draw_time(axes.xaxis, duration)
    axes.spines[["top", "right", "left"]].set_visible(False)
    corner = (left / _WIDTH, (foot - _AXIS) / height)
    legend = [(entry, looks[label]) for entry, label in zip(entries, labels, strict=True)]
    _draw_legend(fig, corner, legend, columns)
    below = _shorten(note, across, _SMALL)
    low = _EDGE / height
    fig.text(left / _WIDTH, low, below, va="bottom", font=_SMALL, color="#555555", parse_math=False)
    return fig


def _stack(
    segments: Sequence[Segment], looks: Mapping[str, Colour], duration: float, across: float
) -> list[_Bar]:
    """Places bars and their texts, the best score first, each in the first lane with room."""
    best = max((segment.score or 0 for segment in segments), default=0)
    second = across / duration  # in inches
    lanes: list[list[tuple[float, float]]] = []
    bars = []
    for segment in sorted(segments, key=lambda x: (-(x.score or 0), x.start, x.end)):
        start, end = (float(np.clip(time, 0, duration)) for time in (segment.start, segment.end))
        score = segment.score
        if score is None:
            strength, text = 1.0, " ".join(segment.label.split())
        else:
            strength = max(score, 0) / best if best > 0 else 0.0
            text = f"{score:.2f}" if score >= 0.01 else f"{score:.1g}"
        room = (_wide(text, _SMALL) + 2 * _PAD) / second
        if room <= end - start:
            low, high, middle = start, end, (start + end) / 2
        elif score is None:  # the legend has the name
            low, high, middle, text = start, end, start, ""
        elif end + room <= duration:
            low, high, middle = start, end + room, end + room / 2
        else:
            low, high, middle = start - room, end, start - room / 2
        free = (all(high <= a or b <= low for a, b in taken) for taken in lanes)
        lane = next(itertools.compress(itertools.count(), free), len(lanes))
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append((low, high))
        bars.append(_Bar(looks[segment.label], start, end, lane, strength, text, middle))
    return bars


def _draw_row(axes: Axes, top: float, segments: Sequence[Segment], bars: Sequence[_Bar]) -> None:
    bottom, _ = axes.get_ylim()
    if top:
        axes.axhline(top, color="#C0C0C0", linewidth=0.6)
    if not bars:
        middle = sum(axes.get_xlim()) / 2
        axes.text(middle, top + (_GAP + _LANE) / 2, "none", color="#8A8A8A", **_IN_ROW)
    for segment in segments:
        if segment.score is None:
            axes.axvspan(
                segment.start, segment.end, 0, 1 - top / bottom, color="#00000010", linewidth=0
            )
    for bar in bars:
        low = top + _GAP / 2 + bar.lane * _LANE + (_LANE - _BAR) / 2
        faint = 0.2 + 0.8 * bar.strength
        axes.add_patch(_rectangle((bar.start, low), bar.end - bar.start, _BAR, bar.look, faint))
        within = bar.start <= bar.middle <= bar.end
        seen = 1 - faint * (1 - np.array(colors.to_rgb(bar.look.face))) if within else np.ones(3)
        ink = "black" if seen @ (0.299, 0.587, 0.114) > 0.5 else "white"  # luma of BT.601
        text = axes.text(bar.middle, low + _BAR / 2, bar.text, color=ink, **_IN_ROW)
        if within and bar.look.hatch:
            text.set_path_effects([patheffects.withStroke(linewidth=2, foreground=tuple(seen))])


def _draw_frames(axes: Axes, frames: Sequence[np.ndarray] | np.ndarray, across: float) -> None:
    axes.axis("off")
    height, width = frames[0].shape[:2]
    tall = min(_STRIP, across * height / width)
    wide = tall * width / height
    shown = max(1, min(len(frames), int(across / (wide + _PAD))))
    for middle in (np.arange(shown) + 0.5) / shown:
        start = middle * across - wide / 2
        frame, extent = frames[int(middle * len(frames))], (start, start + wide, 0, tall)
        axes.imshow(frame, extent=extent, aspect="auto")


def _draw_time(axis: Axis, duration: float) -> None:
    if duration <= _LONG:
        axis.set_major_locator(ticker.MaxNLocator(10, steps=[1, 2, 5, 10]))
    else:
        hours = 3600 * math.ceil(duration / 36000)
        step = next((step for step in _CLOCK if duration <= 10 * step), hours)
        axis.set_major_locator(ticker.MultipleLocator(step))
    axis.set_major_formatter(lambda time, _: _clock(time, duration))
    unit = "s" if duration <= _LONG else "m:ss" if duration < 3600 else "h:mm:ss"
    axis.set_label_text(f"time ({unit})", font=_PLAIN)
    axis.set_tick_params(labelsize=_PLAIN.get_size())


def _draw_legend(
    fig: Figure, corner: tuple[float, float], entries: Sequence[tuple[str, Colour]], columns: int
) -> None:
    legend = fig.legend(
        [_rectangle((0, 0), 1, 1, look) for _, look in entries],
        [name for name, _ in entries],
        loc="upper left",
        bbox_to_anchor=corner,
        ncols=columns,
        prop=_PLAIN,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.6,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _clock(time: float, duration: float) -> str:
    """A time in the form that suits the video's length."""
    if duration <= _LONG:
        return f"{time:g}"
    minutes, seconds = divmod(round(time), 60)
    if duration < 3600:
        return f"{minutes}:{seconds:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _rectangle(
    corner: tuple[float, float], wide: float, tall: float, look: Colour, faint: float = 1.0
) -> Rectangle:
    edge = 0.65 * np.array(colors.to_rgb(look.face))
    return Rectangle(
        corner,
        wide,
        tall,
        facecolor=(look.face, faint),
        edgecolor=(*edge, max(faint, 0.6)),  # keeps the hue of a weak one
        hatch=look.hatch,
        linewidth=0.7,
    )


def _shorten(text: str, inches: float, font: FontProperties) -> str:
    """One line of the text, cut where it gets too wide."""
    text = " ".join(text.split())
    if _wide(text, font) <= inches:
        return text
    sizes = range(len(text))
    kept = bisect.bisect(sizes, inches, key=lambda size: _wide(text[:size] + "…", font)) - 1
    return text[:kept].rstrip() + "…"


def _wide(text: str, font: FontProperties) -> float:
    """Inches across."""
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72
