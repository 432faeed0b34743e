"""Where the cost comes from: attribution, footprint, growth with rows, a slower way to the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from assay.report.axes import linear, logarithmic
from assay.report.bars import BarChart, Stack, bar_chart
from assay.report.figures import Delay, Growth, GrowthPoint, Split
from assay.report.lines import LineChart, Series, Spot, line_chart
from assay.report.views import ArmFigures, View
from assay.report.words import figure

PartName: TypeAlias = Literal["framework", "driver", "layer", "database"]
PARTS: tuple[PartName, ...] = ("framework", "driver", "layer", "database")


@dataclass(frozen=True)
class SplitView:
    anchor: str
    scenario: str
    rows: list[ArmFigures[Split]]
    chart: BarChart


@dataclass(frozen=True)
class GrowthView:
    """`sizes` are the columns; a row has None where it was not measured at one."""

    anchor: str
    operation: str
    sizes: list[int]
    rows: list[tuple[ArmFigures[Growth], list[GrowthPoint | None]]]
    chart: LineChart | None


@dataclass(frozen=True)
class DelayView:
    """Every arm with its delays, ascending."""

    anchor: str
    scenario: str
    rows: list[tuple[ArmFigures[Delay], list[Delay]]]
    chart: LineChart | None


def parts_of(split: Split) -> dict[PartName, float | None]:
    return {
        "framework": split.framework,
        "driver": split.driver,
        "layer": split.layer,
        "database": split.database,
    }


def split_views(view: View) -> list[SplitView]:
    found = view.results.splits
    views = []
    for number, scenario in enumerate(view.in_order([one.scenario for one in found]), 1):
        rows = view.each([one for one in found if one.scenario == scenario])
        title = f"CPU of one {scenario} by part, µs"
        anchor = f"split-{number}"
        views.append(
            SplitView(anchor, scenario, rows, bar_chart(anchor, title, [_stack(row) for row in rows]))
        )
    return views


def _stack(row: ArmFigures[Split]) -> Stack:
    if row.found is None:
        return Stack(row.arm.name, row.style, [], "no figure")
    parts = [(part, size) for part, size in parts_of(row.found).items() if size is not None and size > 0]
    return Stack(row.arm.name, row.style, parts, f"{figure(sum(size for _, size in parts))} µs")


def growth_views(view: View) -> list[GrowthView]:
    found = view.results.growth
    return [
        _growth(
            f"growth-{number}", operation, view.each([one for one in found if one.operation == operation])
        )
        for number, operation in enumerate(view.in_order([one.operation for one in found]), 1)
    ]


def _growth(anchor: str, operation: str, rows: list[ArmFigures[Growth]]) -> GrowthView:
    sizes = sorted({point.rows for row in rows if row.found for point in row.found.points})
    series = [_curve(row, row.found.points) for row in rows if row.found is not None]
    drawn = [one for one in series if one.spots]
    chart = None
    if drawn:
        chart = line_chart(
            anchor,
            f"Service CPU of {operation} by rows, µs",
            drawn,
            logarithmic("rows", [spot.x for one in drawn for spot in one.spots]),
            logarithmic("µs", [end for one in drawn for spot in one.spots for end in (spot.low, spot.high)]),
        )
    return GrowthView(anchor, operation, sizes, [(row, _at(row.found, sizes)) for row in rows], chart)


def _at(growth: Growth | None, sizes: Sequence[int]) -> list[GrowthPoint | None]:
    known = {} if growth is None else {point.rows: point for point in growth.points}
    return [known.get(size) for size in sizes]


def _curve(row: ArmFigures[Growth], points: Sequence[GrowthPoint]) -> Series:
    known = sorted(
        (
            Spot(point.rows, point.service_cpu.value, point.service_cpu.low, point.service_cpu.high)
            for point in points
            if point.service_cpu is not None and point.service_cpu.value > 0 and point.rows > 0
        ),
        key=lambda spot: spot.x,
    )
    told = ", ".join(f"{spot.x:g} rows {figure(spot.y)} µs" for spot in known)
    return Series(
        row.arm.name, row.style, [(spot.x, spot.y) for spot in known], known, f"{row.arm.name} {told}"
    )


def delay_views(view: View) -> list[DelayView]:
    found = view.results.delays
    return [
        _delay(f"delay-{number}", scenario, view, [one for one in found if one.scenario == scenario])
        for number, scenario in enumerate(view.in_order([one.scenario for one in found]), 1)
    ]


def _delay(anchor: str, scenario: str, view: View, here: Sequence[Delay]) -> DelayView:
    rows = []
    for row in view.each(here):
        own = sorted((one for one in here if one.arm == row.arm.name), key=lambda one: one.asked_ms)
        rows.append((row, own))
    series = [_slowed(row, own) for row, own in rows]
    drawn = [one for one in series if one.path or one.spots]
    chart = None
    if drawn:
        reached = [(spot.x, spot.high) for one in drawn for spot in one.spots]
        predicted = [point for one in drawn for point in one.path]
        chart = line_chart(
            anchor,
            f"p50 of {scenario} by added round trip, ms",
            drawn,
            linear("ms that the way to the database adds", [at for at, _ in reached + predicted]),
            linear("p50 ms", [ms for _, ms in reached + predicted]),
        )
    return DelayView(anchor, scenario, rows, chart)


def _slowed(row: ArmFigures[Delay], own: Sequence[Delay]) -> Series:
    """Dots are measured, the line is predicted."""
    told = [(one.added_ms, one.p50_ms, one.predicted_ms) for one in own if one.missing is None]
    return Series(
        row.arm.name,
        row.style,
        [(at, expected) for at, _, expected in told if at is not None and expected is not None],
        [
            Spot(at, p50.ms, p50.low_ms, p50.high_ms)
            for at, p50, _ in told
            if at is not None and p50 is not None
        ],
        f"{row.arm.name} "
        + ", ".join(f"{at:g} ms more: {figure(p50.ms)} ms" for at, p50, _ in told if at is not None and p50),
    )
