"""Scales: from figures to percentages of a plot, with ticks at numbers that readers know."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_NINES = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_MOST_TICKS = 9


@dataclass(frozen=True)
class Axis:
    """`low` and `high` are its ends after `project`; `marks` are values with the labels of their ticks."""

    title: str
    project: Callable[[float], float]
    low: float
    high: float
    marks: Sequence[tuple[float, str]]

    def place(self, value: float) -> float:
        """A percentage of the axis; what lies outside is put at its end."""
        share = (self.project(value) - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        return [(self.place(value), label) for value, label in self.marks]


def linear(title: str, values: Iterable[float]) -> Axis:
    """From nought."""
    top = max([*values, 1e-9])
    width = step(top)
    count = math.ceil(top / width)
    marks = [(width * number, f"{width * number:,g}") for number in range(count + 1)]
    return Axis(title, _itself, 0.0, width * count, marks)


def logarithmic(title: str, values: Iterable[float]) -> Axis:
    """Ends at 1, 2 or 5 times a power of ten; what is not above nought has no place on it."""
    held = [value for value in values if value > 0] or [1.0]
    low, high = _rounded(min(held), math.floor), _rounded(max(held), math.ceil)
    if low == high:
        low, high = low / 2, high * 2
    marks = [mark for mark in _ones_twos_fives(low, high) if low <= mark <= high]
    if len(marks) > _MOST_TICKS:
        marks = [mark for mark in marks if math.isclose(math.log10(mark) % 1, 0, abs_tol=1e-9)]
    return Axis(title, _log, math.log10(low), math.log10(high), [(mark, f"{mark:,g}") for mark in marks])


def nines(title: str, top: float) -> Axis:
    """Percentiles as HdrHistogram shows them: each further nine takes the same room. `top` is the highest."""
    marks = [(mark, f"{mark:g} %") for mark in _NINES if mark <= top]
    return Axis(title, _nines, 0.0, max(_nines(top), _nines(50.0)), marks)


def step(top: float) -> float:
    """The distance of the ticks: 1, 2 or 5 times a power of ten, for at most five of them.

    >>> step(412.0), step(7.0), step(90000.0)
    (100.0, 2.0, 20000.0)
    """
    rough = top / 5
    power = math.pow(10, math.floor(math.log10(rough)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _itself(value: float) -> float:
    return value


def _log(value: float) -> float:
    """Nought lies at the lower end, wherever that is."""
    return math.log10(value) if value > 0 else -math.inf


def _nines(percentile: float) -> float:
    return -math.log10(1 - percentile / 100)


def _rounded(value: float, direction: Callable[[float], int]) -> float:
    """
    >>> _rounded(3.4, math.floor), _rounded(3.4, math.ceil)
    (2.0, 5.0)
    """
    power = math.pow(10, math.floor(math.log10(value)))
    around = [power * factor for factor in (1, 2, 5, 10)]
    if direction is math.floor:
        return max(mark for mark in around if mark <= value * (1 + 1e-9))
    return min(mark for mark in around if mark >= value * (1 - 1e-9))


def _ones_twos_fives(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5)]
