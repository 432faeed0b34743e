"""The geometry of a chart of lines: x in percentages of the plot, y in pixels from its top.

Lines keep their thickness and letters their size at every width, because only x is stretched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from assay.report.axes import Axis

HEIGHT = 260
_LABEL = 16
"""Pixels that a label at the end of a line needs."""
_BESIDE = 16.0
"""Percentages of the plot within which it could cover another."""


@dataclass(frozen=True)
class Spot:
    """A figure with its interval, in the units of the axes."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """`path` is drawn through, `spots` are drawn as dots with their intervals; `told` says both in words."""

    label: str
    style: str
    path: Sequence[tuple[float, float]]
    spots: Sequence[Spot]
    told: str


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """`points` as SVG has them; the label stands at its end, clear of others that end there."""

    label: str
    style: str
    points: str
    dots: list[Dot]
    label_x: float
    label_y: float


@dataclass(frozen=True)
class LineChart:
    """`target` is the height of a line that should not be crossed, with what it says."""

    anchor: str
    title: str
    description: str
    height: int
    x: Axis
    y: Axis
    y_ticks: list[tuple[float, str]]
    lines: list[Line]
    target: tuple[float, str] | None


def line_chart(
    anchor: str,
    title: str,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    target: tuple[float, str] | None = None,
) -> LineChart:
    """`anchor` is unique on the page; `target` is a value of `y`, and words."""
    drawn = [one for one in series if one.path or one.spots]
    ends = _ends([(x.place(at), _height(y, value)) for at, value in map(_last, drawn)])
    return LineChart(
        anchor=anchor,
        title=title,
        description="; ".join(one.told for one in series),
        height=HEIGHT,
        x=x,
        y=y,
        y_ticks=[(_height(y, value), label) for value, label in y.marks],
        lines=[_line(one, x, y, end) for one, end in zip(drawn, ends, strict=True)],
        target=None if target is None else (_height(y, target[0]), target[1]),
    )


def _line(series: Series, x: Axis, y: Axis, end: tuple[float, float]) -> Line:
    return Line(
        label=series.label,
        style=series.style,
        points=" ".join(f"{x.place(at):g},{_height(y, value):g}" for at, value in series.path),
        dots=[
            Dot(x.place(spot.x), _height(y, spot.y), _height(y, spot.low), _height(y, spot.high))
            for spot in series.spots
        ],
        label_x=end[0],
        label_y=end[1],
    )


def _height(axis: Axis, value: float) -> float:
    return round(HEIGHT * (1 - axis.place(value) / 100), 1)


def _last(series: Series) -> tuple[float, float]:
    return series.path[-1] if series.path else (series.spots[-1].x, series.spots[-1].y)


def _ends(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where labels stand: those that could cover each other keep apart in height."""
    heights = [height for _, height in places]
    for here in _neighbours([x for x, _ in places]):
        for number, height in zip(here, _spread([heights[number] for number in here]), strict=True):
            heights[number] = height
    return [(x, height) for (x, _), height in zip(places, heights, strict=True)]


def _neighbours(places: Sequence[float]) -> list[list[int]]:
    """
    >>> _neighbours([100.0, 66.0, 98.0])
    [[1], [2, 0]]
    """
    order = sorted(range(len(places)), key=lambda number: places[number])
    groups: list[list[int]] = []
    for number in order:
        if groups and places[number] - places[groups[-1][-1]] < _BESIDE:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _spread(heights: Sequence[float]) -> list[float]:
    """Labels at these heights, moved as little as one pass needs so that none covers another.

    >>> _spread([100.0, 104.0, 10.0])
    [100.0, 116.0, 10.0]
    """
    order = sorted(range(len(heights)), key=lambda number: heights[number])
    found = list(heights)
    for before, number in pairwise(order):
        found[number] = max(found[number], found[before] + _LABEL)
    limit = float(HEIGHT)
    for number in reversed(order):
        found[number] = min(found[number], limit)
        limit = found[number] - _LABEL
    return found
