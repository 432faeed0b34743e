"""The geometry of stacked bars: one for each arm, lengths in percentages of the plot, heights in pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay.report.axes import step
from assay.report.charts import AXIS, ROW


@dataclass(frozen=True)
class Stack:
    """`parts` by name in µs, in the order in which they are drawn; empty where there are no figures."""

    label: str
    style: str
    parts: Sequence[tuple[str, float]]
    text: str


@dataclass(frozen=True)
class Piece:
    part: str
    start: float
    width: float


@dataclass(frozen=True)
class Bar:
    stack: Stack
    y: float
    pieces: list[Piece]


@dataclass(frozen=True)
class BarChart:
    anchor: str
    title: str
    description: str
    height: float
    longest: int
    bars: list[Bar]
    ticks: list[tuple[float, str]]


def bar_chart(anchor: str, title: str, stacks: Sequence[Stack]) -> BarChart:
    top = max([*(sum(size for _, size in stack.parts) for stack in stacks), 1.0])
    width = step(top)
    end = math.ceil(top / width) * width
    return BarChart(
        anchor=anchor,
        title=title,
        description="; ".join(_told(stack) for stack in stacks),
        height=ROW * len(stacks) + AXIS,
        longest=max((len(stack.label) for stack in stacks), default=0),
        bars=[
            Bar(stack, ROW * (number + 0.5), _pieces(stack.parts, end)) for number, stack in enumerate(stacks)
        ],
        ticks=[
            (round(100 * width * number / end, 2), f"{width * number:,g}")
            for number in range(round(end / width) + 1)
        ],
    )


def _pieces(parts: Sequence[tuple[str, float]], end: float) -> list[Piece]:
    found, start = [], 0.0
    for part, size in parts:
        found.append(Piece(part, round(100 * start / end, 2), round(100 * size / end, 2)))
        start += size
    return found


def _told(stack: Stack) -> str:
    parts = ", ".join(f"{part} {size:,.0f} µs" for part, size in stack.parts)
    return f"{stack.label} {parts or stack.text}"
