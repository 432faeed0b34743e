"""How fast: latencies at a scheduled rate, and the rate up to which a target is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.report.axes import linear, logarithmic, nines
from assay.report.figures import Capacity, Latency, Percentile
from assay.report.lines import LineChart, Series, Spot, line_chart
from assay.report.views import ArmFigures, View
from assay.report.words import figure

MOST_POINTS = 80


@dataclass(frozen=True)
class LatencyView:
    """The arms in a scenario at one rate. `percentiles` are those that any of them carries; a row has None
    where its samples do not carry it. Without any figures, `per_second` is None and so is the chart."""

    anchor: str
    scenario: str
    arrivals: str
    per_second: float | None
    percentiles: list[float]
    rows: list[tuple[ArmFigures[Latency], list[Percentile | None]]]
    chart: LineChart | None


@dataclass(frozen=True)
class CapacityView:
    anchor: str
    scenario: str
    target_ms: float
    rows: list[ArmFigures[Capacity]]
    chart: LineChart | None


def latency_views(view: View) -> list[LatencyView]:
    found: list[LatencyView] = []
    for scenario in view.in_order([one.scenario for one in view.results.latencies]):
        here = [one for one in view.results.latencies if one.scenario == scenario]
        loads = dict.fromkeys((one.arrivals, one.per_second) for one in here if one.missing is None)
        without = [one for one in here if one.missing is not None]
        for arrivals, rate in loads:
            same = [one for one in here if (one.arrivals, one.per_second) == (arrivals, rate)]
            rows = view.each([*without, *same])
            found.append(_latency(f"latency-{len(found) + 1}", scenario, arrivals, rate, rows))
        if not loads:
            found.append(_latency(f"latency-{len(found) + 1}", scenario, "", None, view.each(without)))
    return found


def _latency(
    anchor: str, scenario: str, arrivals: str, per_second: float | None, rows: list[ArmFigures[Latency]]
) -> LatencyView:
    measured = [row.found for row in rows if row.found is not None]
    columns = sorted({told.percentile for one in measured for told in one.percentiles})
    return LatencyView(
        anchor=anchor,
        scenario=scenario,
        arrivals=arrivals,
        per_second=per_second,
        percentiles=columns,
        rows=[(row, _told(row.found, columns)) for row in rows],
        chart=_latency_chart(anchor, scenario, rows, columns) if columns else None,
    )


def _told(latency: Latency | None, columns: Sequence[float]) -> list[Percentile | None]:
    known = {} if latency is None else {told.percentile: told for told in latency.percentiles}
    return [known.get(column) for column in columns]


def _latency_chart(
    anchor: str, scenario: str, rows: Sequence[ArmFigures[Latency]], columns: Sequence[float]
) -> LineChart:
    series = [
        _distribution(row, row.found) for row in rows if row.found is not None and row.found.percentiles
    ]
    heights = [spot.high for one in series for spot in one.spots] + [
        ms for one in series for _, ms in one.path
    ]
    return line_chart(
        anchor,
        f"Latency of {scenario} by percentile, ms",
        series,
        nines("percentile", columns[-1]),
        logarithmic("ms", heights),
    )


def _distribution(row: ArmFigures[Latency], latency: Latency) -> Series:
    """The curve ends at the highest percentile that its samples carry."""
    top = latency.percentiles[-1].percentile
    earned = [(at, ms) for at, ms in latency.curve if at <= top and ms > 0]
    stride = max(1, -(-len(earned) // MOST_POINTS))
    thinned = [*earned[:-1:stride], *earned[-1:]]
    return Series(
        row.arm.name,
        row.style,
        thinned,
        [Spot(told.percentile, told.ms, told.low_ms, told.high_ms) for told in latency.percentiles],
        f"{row.arm.name} "
        + ", ".join(f"p{told.percentile:g} {figure(told.ms)} ms" for told in latency.percentiles),
    )


def capacity_views(view: View) -> list[CapacityView]:
    """Apart by target, for what keeps one may not keep another."""
    found = view.results.capacities
    asked = [
        (scenario, target)
        for scenario in view.in_order([one.scenario for one in found])
        for target in sorted({one.target_ms for one in found if one.scenario == scenario})
    ]
    return [
        _capacity(
            f"capacity-{number}",
            scenario,
            target,
            view.each([one for one in found if (one.scenario, one.target_ms) == (scenario, target)]),
        )
        for number, (scenario, target) in enumerate(asked, 1)
    ]


def _capacity(anchor: str, scenario: str, target_ms: float, rows: list[ArmFigures[Capacity]]) -> CapacityView:
    series = [_climb(row, row.found) for row in rows if row.found is not None and row.found.steps]
    drawn = [one for one in series if one.spots]
    chart = None
    if drawn:
        chart = line_chart(
            anchor,
            f"p99 of {scenario} by rate, ms",
            drawn,
            linear("requests per second", [spot.x for one in drawn for spot in one.spots]),
            logarithmic("p99 ms", [target_ms, *(spot.y for one in drawn for spot in one.spots)]),
            (target_ms, f"target {target_ms:g} ms"),
        )
    return CapacityView(anchor, scenario, target_ms, rows, chart)


def _climb(row: ArmFigures[Capacity], capacity: Capacity) -> Series:
    """A void step says nothing of the arm, and is left out."""
    steps = sorted(
        (one.per_second, one.p99_ms) for one in capacity.steps if one.kept is not None and one.p99_ms
    )
    rate = capacity.per_second
    return Series(
        row.arm.name,
        row.style,
        steps,
        [Spot(at, ms, ms, ms) for at, ms in steps],
        f"{row.arm.name} {'no capacity' if rate is None else f'{figure(rate.value)} per second'}",
    )
