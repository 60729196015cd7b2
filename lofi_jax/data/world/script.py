"""What happens in a video of the built-in world: which actions, when, and where the object is.

Lengths are in frame widths, angles in radians, time in frames. A pose is (x, y, angle, log scale),
so that motions simply add up. A stretch of n frames is a path of n + 1 poses, whose last is where
the next stretch begins: poses are continuous across every boundary.
"""

import dataclasses

import numpy as np

CLIP_FRAMES = 8
VIDEO_FRAMES = 256
ACTION_FRAMES = (20, 80)  # 5 to 20 snippets of 4 frames
GAP_FRAMES = (12, 56)  # 3 to 14 snippets
CLIP_PERIOD = (4.0, 7.0)
VIDEO_PERIOD = (8.0, 11.0)  # slower, yet seen within a snippet
_BEHAVIOUR_FRAMES = (10, 24)
_RADIUS = (0.18, 0.25)
_REACH = (0.09, 0.12)

# Phase (F,) -> x, y, angle and log scale relative to the pose at phase 0, in units of the reach.
_MOTIONS = {
    "horizontal shake": lambda phase: (np.sin(phase), 0, 0, 0),
    "vertical shake": lambda phase: (0, np.sin(phase), 0, 0),
    "spin": lambda phase: (0, 0, 5 * phase, 0),
    "circling": lambda phase: (np.cos(phase) - 1, np.sin(phase), 0, 0),
    "pulsing": lambda phase: (0, 0, 0, 4 * np.sin(phase)),
    "diagonal shake": lambda phase: (0.8 * np.sin(phase), 0.8 * np.sin(phase), 0, 0),
}
CLASSES = tuple(_MOTIONS)


@dataclasses.dataclass(frozen=True, eq=False)
class Script:
    """What happens in one video.

    Attributes:
        radius: the object's radius at log scale 0, in frame widths.
        actions: (M, 2) int64, each action's first frame and the first frame after it.
        poses: (F, 4) float64, one a frame.
    """

    radius: float
    actions: np.ndarray
    poses: np.ndarray


def trimmed(rng: np.random.Generator, label: str) -> Script:
    """A clip of `CLIP_FRAMES` frames with the action of class `label` all through."""
    radius = float(rng.uniform(*_RADIUS))
    turns = np.arange(CLIP_FRAMES) / rng.uniform(*CLIP_PERIOD) + rng.uniform()
    poses = _act(rng, label, _place(rng, radius, 0.0), 2 * np.pi * turns)
    return Script(radius, np.array([[0, CLIP_FRAMES]]), poses)


def untrimmed(rng: np.random.Generator, label: str) -> Script:
    """A video of `VIDEO_FRAMES` frames with some actions of class `label` and gaps around them."""
    radius = float(rng.uniform(*_RADIUS))
    actions = _layout(rng)
    path = _place(rng, radius, 0.0)[None]
    for start, end in actions.tolist():
        path = _append(path, _pass_time(rng, path[-1], start - len(path) + 1, radius))
        # Whole cycles, so that the object stops in the pose it began with.
        cycles = np.ceil((end - start) / rng.uniform(*VIDEO_PERIOD))
        phase = np.linspace(0, 2 * np.pi * cycles, end - start + 1)
        path = _append(path, _act(rng, label, path[-1], phase))
    path = _append(path, _pass_time(rng, path[-1], VIDEO_FRAMES - len(path) + 1, radius))
    return Script(radius, actions, path[:-1])


def wander(rng: np.random.Generator, frames: int, columns: int, smoothness: float) -> np.ndarray:
    """Smooth stationary random curves of unit deviation, (frames, columns) float64.

    `smoothness` is the deviation, in frames, of the Gaussian that smooths white noise.
    """
    reach = int(np.ceil(3 * smoothness))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / smoothness))
    kernel /= np.linalg.norm(kernel)
    noise = rng.standard_normal((columns, frames + 2 * reach))
    return np.stack([np.convolve(row, kernel, "valid") for row in noise], axis=1)


def _layout(rng):
    actions, end = [], 0
    while VIDEO_FRAMES - end > GAP_FRAMES[1]:
        # Each draw leaves room for the shortest action and the shortest gap that must follow.
        room = VIDEO_FRAMES - end - ACTION_FRAMES[0] - GAP_FRAMES[0]
        start = end + _length(rng, GAP_FRAMES[0], min(GAP_FRAMES[1], room))
        longest = min(ACTION_FRAMES[1], VIDEO_FRAMES - start - GAP_FRAMES[0])
        end = start + _length(rng, ACTION_FRAMES[0], longest)
        actions.append((start, end))
    return np.array(actions, np.int64)


def _length(rng, shortest, longest):
    """A number of frames between two bounds, both included, the shorter ones more often."""
    return int(np.exp(rng.uniform(np.log(shortest), np.log(longest + 1))))


def _append(path, stretch):
    return np.concatenate([path[:-1], stretch])


def _act(rng, label, start, phase):
    """The action of class `label` over `phase` (F,), beginning in pose `start` at phase 0."""
    path = np.zeros((len(phase), 4))
    for column, values in enumerate(_MOTIONS[label](rng.choice([-1, 1]) * phase)):
        path[:, column] = values
    path *= rng.uniform(*_REACH)
    if label == "circling":  # with its centre on the frame's inner side, to stay in view
        turn = np.arctan2(start[1] - 0.5, start[0] - 0.5) + rng.uniform(-np.pi / 4, np.pi / 4)
        cos, sin = np.cos(turn), np.sin(turn)
        path[:, :2] = path[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    return start + path


def _pass_time(rng, start, frames, radius):
    """A gap: one behaviour after another, none of them an action."""
    path = start[None]
    while frames:
        stretch = int(rng.integers(_BEHAVIOUR_FRAMES[0], _BEHAVIOUR_FRAMES[1] + 1))
        if frames - stretch < _BEHAVIOUR_FRAMES[0]:
            stretch = frames
        behave = (_idle, _drift, _jitter, _hop)[rng.integers(4)]
        path = _append(path, behave(rng, path[-1], stretch, radius))
        frames -= stretch
    return path


def _idle(rng, start, frames, radius):
    return np.tile(start, (frames + 1, 1))


def _drift(rng, start, frames, radius):
    time = np.linspace(0, 1, frames + 1)[:, None]
    return start + (_place(rng, radius, start[2]) - start) * time * time * (3 - 2 * time)


def _jitter(rng, start, frames, radius):
    swell = np.sin(np.linspace(0, np.pi, frames + 1))[:, None]
    return start + swell * wander(rng, frames + 1, 4, 0.8) * (0.02, 0.02, 0.12, 0.05)


def _hop(rng, start, frames, radius):
    moves = frames // 10
    begins = 4 * np.sort(rng.choice(frames // 4, moves, replace=False))
    times = np.stack([begins, begins + rng.integers(2, 5, moves)], axis=1).ravel()
    places = [start]
    for _ in range(moves):
        places.append(_place(rng, radius, places[-1][2]))
    stops = np.repeat(places, 2, axis=0)[1:-1]
    return np.stack([np.interp(np.arange(frames + 1), times, column) for column in stops.T], axis=1)


def _place(rng, radius, angle):
    """A pose near `angle` from which every motion stays in view."""
    margin = 0.16 + 1.15 * radius
    x, y = rng.uniform(margin, 1 - margin, 2)
    return np.array([x, y, angle + rng.uniform(-0.6, 0.6), rng.uniform(-0.1, 0.1)])


WORLDS = ("appearance", "motion")
