"""Ranges of numbers, and flags that hold a number in one."""

import dataclasses

from absl import flags

# A flag belongs to the command that calls `define_float`.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`; `above`, `below`: without the end itself.

    No count or rate of use is above the default's 1e9, and the integers of NumPy and JAX hold it.

    >>> Range(0, 1).holds(1.0), Range(0, 1, below=True).holds(1.0), Range().holds(float("nan"))
    (True, False, False)
    """

    least: float = 0.0
    most: float = 1e9
    above: bool = False
    below: bool = False

    def holds(self, number: float) -> bool:
        """Whether a number, which may be NaN, is in it."""
        high = number >= self.least and (number > self.least or not self.above)
        return high and number <= self.most and (number < self.most or not self.below)

    def __str__(self) -> str:
        if self.most == Range.most:
            low = f"above {self.least:g}" if self.above else f"at least {self.least:g}"
            return f"{low} and at most {self.most:g}"
        left, right = "(" if self.above else "[", ")" if self.below else "]"
        return f"in {left}{self.least:.10g}, {self.most:.10g}{right}"


COUNT = Range(1)
POSITIVE = Range(above=True)
FRACTION = Range(0, 1)
PIXELS = Range(1, 65_500)  # a JPEG holds no more
QUALITY = Range(1, 100)  # of a JPEG


class _Parser(flags.FloatParser):
    """The library's own, whose bounds let NaN through, with a range."""

    def __init__(self, allowed: Range):
        super().__init__()
        self._allowed = allowed
        self.syntactic_help = f"a number that is {allowed}"

    def is_outside_bounds(self, val: float) -> bool:
        return not self._allowed.holds(val)


def define_float(
    name: str, default: float, description: str, allowed: Range
) -> flags.FlagHolder[float]:
    """Defines a flag that holds a finite number in a range."""
    return flags.DEFINE(
        _Parser(allowed), name, default, description, serializer=flags.ArgumentSerializer()
    )
