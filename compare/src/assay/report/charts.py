"""The geometry of a scenario's chart: a dot and an interval for each arm over the noise floor's band.

Lengths along the axis are percentages of the plot, so that one chart fits every width without smaller
letters; heights are pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay.report.axes import step

ROW = 38
AXIS = 30


@dataclass(frozen=True)
class Entry:
    """An arm to draw: figures in µs, or none; `text` stands beside it either way."""

    label: str
    style: str
    value: float | None
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Mark:
    """An entry in its place; `x`, `start` and `width` are percentages, None where there is no figure."""

    entry: Entry
    y: float
    x: float | None
    start: float
    width: float


@dataclass(frozen=True)
class Chart:
    """`band` is start and width of the noise floor, `origin` the baseline's place, `longest` the letters of
    the longest label."""

    title: str
    description: str
    height: float
    longest: int
    marks: list[Mark]
    ticks: list[tuple[float, str]]
    band: tuple[float, float] | None
    origin: float | None


def chart(title: str, entries: Sequence[Entry], baseline: float | None, floor: float) -> Chart:
    """`baseline` in µs, `floor` as |ln ratio|, infinite where it is unknown."""
    known = math.isfinite(floor) and baseline is not None
    edges = (baseline * math.exp(-floor), baseline * math.exp(floor)) if known and baseline else None
    top: float = max([*(entry.high for entry in entries), *(edges or ()), 1.0])
    width = step(top)
    end = math.ceil(top / width) * width

    def place(value: float) -> float:
        return round(100 * value / end, 3)

    marks = [
        Mark(
            entry,
            ROW * (number + 0.5),
            None if entry.value is None else place(entry.value),
            place(entry.low),
            place(entry.high) - place(entry.low),
        )
        for number, entry in enumerate(entries)
    ]
    return Chart(
        title=title,
        description="; ".join(f"{entry.label} {entry.text}" for entry in entries),
        height=ROW * len(entries) + AXIS,
        longest=max((len(entry.label) for entry in entries), default=0),
        marks=marks,
        ticks=[(place(width * number), f"{width * number:,g}") for number in range(round(end / width) + 1)],
        band=None if edges is None else (place(edges[0]), place(edges[1]) - place(edges[0])),
        origin=None if baseline is None else place(baseline),
    )
