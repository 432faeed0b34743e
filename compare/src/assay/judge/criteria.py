"""What arms are weighed by, each read from the evidence as figures of which lower is better."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from assay.report.care import Change, LayerCode
from assay.report.figures import Capacity, Footprint, Latency
from assay.report.model import Arm, Cell
from assay.report.part import Interval

NOT_MEASURED = "not measured in this run"

Figures: TypeAlias = dict[str, Interval]


@dataclass(frozen=True)
class Measured:
    """Everything that a criterion may be read from."""

    cells: Sequence[Cell]
    latencies: Sequence[Latency]
    capacities: Sequence[Capacity]
    footprints: Sequence[Footprint]
    code: Sequence[LayerCode]
    changes: Sequence[Change]
    baseline: str


@dataclass(frozen=True)
class Kind:
    name: str
    title: str
    unit: str
    weight: float
    read: Callable[[Measured, Sequence[Arm]], Figures]


def exactly(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def geometric_mean(intervals: Sequence[Interval]) -> Interval:
    """Of ratios or times; the half-widths add up as independent errors do, by root of squares, in logarithms.

    >>> geometric_mean([Interval(value=1, low=1, high=1), Interval(value=4, low=4, high=4)]).value
    2.0
    """
    centre = _mean(math.log(one.value) for one in intervals)
    below = _error(math.log(one.value / one.low) for one in intervals) / len(intervals)
    above = _error(math.log(one.high / one.value) for one in intervals) / len(intervals)
    return Interval(value=math.exp(centre), low=math.exp(centre - below), high=math.exp(centre + above))


def _mean(values: Iterable[float]) -> float:
    held = list(values)
    return sum(held) / len(held)


def _error(values: Iterable[float]) -> float:
    return math.hypot(*values)


def _common(found: Mapping[str, Mapping[str, Interval]]) -> Figures:
    """The geometric mean over what all arms have that have anything: an arm is not better for having left out
    what is dear."""
    present = [set(by_name) for by_name in found.values() if by_name]
    shared = set.intersection(*present) if present else set()
    if not shared:
        return {}
    return {
        arm: geometric_mean([by_name[name] for name in sorted(shared)])
        for arm, by_name in found.items()
        if by_name
    }


def _service_cpu(measured: Measured, arms: Sequence[Arm]) -> Figures:
    def ratio(cell: Cell) -> Interval | None:
        if cell.arm == measured.baseline:
            return exactly(1.0) if cell.service_cpu is not None else None
        return None if cell.against_baseline is None else cell.against_baseline.ratio

    return _common(_by_scenario(measured.cells, arms, ratio))


def _database_cpu(measured: Measured, arms: Sequence[Arm]) -> Figures:
    return _common(_by_scenario(measured.cells, arms, lambda cell: cell.database_cpu))


def _by_scenario(
    cells: Sequence[Cell], arms: Sequence[Arm], read: Callable[[Cell], Interval | None]
) -> dict[str, dict[str, Interval]]:
    names = [arm.name for arm in arms]
    found: dict[str, dict[str, Interval]] = {name: {} for name in names}
    for cell in cells:
        if cell.arm in found and (figure := read(cell)) is not None:
            found[cell.arm][cell.scenario] = figure
    return found


def _latency(measured: Measured, arms: Sequence[Arm]) -> Figures:
    """The p99, over the scenarios in which every arm has one at the same rate."""
    found: dict[str, dict[str, Interval]] = {arm.name: {} for arm in arms}
    for one in measured.latencies:
        told = next((told for told in one.percentiles if told.percentile == 99.0), None)
        if one.arm in found and told is not None:
            place = f"{one.scenario} at {one.per_second}"
            found[one.arm][place] = Interval(value=told.ms, low=told.low_ms, high=told.high_ms)
    return _common(found)


def _capacity(measured: Measured, arms: Sequence[Arm]) -> Figures:
    found: dict[str, dict[str, Interval]] = {arm.name: {} for arm in arms}
    for one in measured.capacities:
        rate = one.per_second
        if one.arm in found and rate is not None and rate.low > 0:
            taken = Interval(value=1_000 / rate.value, low=1_000 / rate.high, high=1_000 / rate.low)
            found[one.arm][one.scenario] = taken
    return _common(found)


def _footprint(read: Callable[[Footprint], float | None]) -> Callable[[Measured, Sequence[Arm]], Figures]:
    def figures(measured: Measured, arms: Sequence[Arm]) -> Figures:
        names = {arm.name for arm in arms}
        return {
            one.arm: exactly(value)
            for one in measured.footprints
            if one.arm in names and (value := read(one)) is not None
        }

    return figures


def _code(read: Callable[[LayerCode], float]) -> Callable[[Measured, Sequence[Arm]], Figures]:
    def figures(measured: Measured, arms: Sequence[Arm]) -> Figures:
        by_backend = {one.backend: read(one) for one in measured.code}
        return {arm.name: exactly(by_backend[arm.name]) for arm in arms if by_backend.get(arm.name)}

    return figures


def _changes(measured: Measured, arms: Sequence[Arm]) -> Figures:
    lines: dict[str, int] = {}
    for change in measured.changes:
        lines[change.backend] = lines.get(change.backend, 0) + change.added + change.removed
    return {arm.name: exactly(lines[arm.name]) for arm in arms if arm.name in lines}


KINDS: tuple[Kind, ...] = (
    Kind("cpu", "CPU of the service", "× baseline", 3, _service_cpu),
    Kind("database", "CPU of the database", "µs a request", 1, _database_cpu),
    Kind("latency", "p99 at a scheduled rate", "ms", 2, _latency),
    Kind("capacity", "Time for 1,000 requests at capacity", "s", 2, _capacity),
    Kind("memory", "Memory at its peak", "MiB", 1, _footprint(lambda one: _mib(one.peak_bytes))),
    Kind("start", "Start until ready", "s", 0.5, _footprint(lambda one: one.start_seconds)),
    Kind("code", "Code of the layer", "lines", 1, _code(lambda one: one.lines)),
    Kind("change", "Three change requests", "lines", 1, _changes),
    Kind("install", "Install size of its own", "MiB", 0.5, _code(lambda one: one.install_bytes / 2**20)),
)


def _mib(size: int | None) -> float | None:
    return None if size is None else size / 2**20
