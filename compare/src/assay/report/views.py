"""What the page shows, drawn from the results: arms with their colours, tables in their order, charts."""

import re
from dataclasses import dataclass
from functools import cached_property

from assay.judge.verdict import floor_of
from assay.report.charts import Chart, Entry, chart
from assay.report.model import ADVICE, Arm, Cell, Doubt, Implementation, Operation, Results, Scenario
from assay.report.words import SIGNS, figure, spread, verdict_on

HUES = {"asyncpg": 1, "sqlalchemy": 2, "tortoise": 3, "motor": 4}
"""A layer keeps its colour in every report; others get the free ones in turn."""
FREE_HUES = (5, 6)
GREY = 0


@dataclass(frozen=True)
class Row:
    """A cell beside its arm; `verdict` None where it has no figures."""

    arm: Arm
    hue: int
    cell: Cell
    verdict: str | None

    @property
    def sign(self) -> str:
        return "" if self.verdict is None else SIGNS[self.verdict]


@dataclass(frozen=True)
class ScenarioView:
    """`unanswered` are the floors that have no figures here."""

    number: int
    scenario: Scenario
    rows: list[Row]
    unanswered: list[Row]
    chart: Chart
    spread: str
    operation: str | None


@dataclass(frozen=True)
class Property:
    """One line of the parity manifest; a value is None where an arm does not say."""

    name: str
    values: list[str | None]

    @property
    def differs(self) -> bool:
        return len({value for value in self.values if value is not None}) > 1


@dataclass(frozen=True)
class OperationView:
    """`answers` by backend; None where a backend has no such method."""

    anchor: str
    operation: Operation
    answers: list[tuple[str, int, Implementation | None]]


class View:
    def __init__(self, results: Results) -> None:
        self.results = results
        self.arms = {arm.name: arm for arm in results.arms}
        self._cells = {(cell.arm, cell.scenario): cell for cell in results.cells}
        self._noise = {found.scenario: found for found in results.noise}
        backends = dict.fromkeys(arm.backend or arm.name for arm in results.arms if arm.kind != "floor")
        strangers = [backend for backend in backends if backend not in HUES]
        free = {backend: FREE_HUES[place % len(FREE_HUES)] for place, backend in enumerate(strangers)}
        self._hues = HUES | free

    def hue(self, backend: str | None) -> int:
        return self._hues.get(backend or "", GREY)

    def hue_of(self, arm: Arm) -> int:
        return GREY if arm.kind == "floor" else self.hue(arm.backend or arm.name)

    @cached_property
    def services(self) -> list[Arm]:
        return [arm for arm in self.results.arms if arm.kind == "service"]

    @cached_property
    def scenarios(self) -> list[ScenarioView]:
        return [self._scenario(number, found) for number, found in enumerate(self.results.scenarios, 1)]

    @cached_property
    def properties(self) -> list[Property]:
        names = dict.fromkeys(name for arm in self.compared for name in arm.parity)
        return [Property(name, [arm.parity.get(name) for arm in self.compared]) for name in names]

    @cached_property
    def compared(self) -> list[Arm]:
        """The arms of the parity manifest: those that said anything of themselves."""
        return [arm for arm in self.results.arms if arm.parity]

    @cached_property
    def conformance(self) -> list[tuple[str, list[tuple[str, list[str]]]]]:
        """By family of clauses: each clause with the result of each backend in the order of `backends`."""
        families: dict[str, list[tuple[str, list[str]]]] = {}
        for found in self.results.conformance:
            family = families.setdefault(found.clause.partition("-")[0], [])
            family.append((found.clause, [found.backends.get(name, "not run") for name in self.backends]))
        return list(families.items())

    @cached_property
    def backends(self) -> list[str]:
        return list(dict.fromkeys(name for found in self.results.conformance for name in found.backends))

    @cached_property
    def operations(self) -> list[tuple[str, list[OperationView]]]:
        families: dict[str, list[OperationView]] = {}
        for found in self.results.operations:
            families.setdefault(found.name.partition(".")[0], []).append(self._operation(found))
        return list(families.items())

    @property
    def doubts(self) -> list[tuple[Doubt, str]]:
        return [(doubt, ADVICE[doubt]) for doubt in self.results.doubts]

    def row(self, arm: Arm, scenario: Scenario) -> Row | None:
        """None only for a floor in a scenario that has none."""
        cell = self._cells.get((arm.name, scenario.name))
        if cell is None and arm.kind == "floor" and not scenario.floor:
            return None
        if cell is None:
            cell = Cell(arm=arm.name, scenario=scenario.name, missing=arm.excluded or "not in the results")
        return Row(arm, self.hue_of(arm), cell, verdict_on(arm, cell, self.results.baseline))

    def _scenario(self, number: int, scenario: Scenario) -> ScenarioView:
        known = [row for arm in self.results.arms if (row := self.row(arm, scenario)) is not None]
        unanswered = [row for row in known if row.arm.kind == "floor" and row.verdict is None]
        rows = [row for row in known if row not in unanswered]
        baseline = self._cells.get((self.results.baseline, scenario.name))
        median = None if baseline is None or baseline.service_cpu is None else baseline.service_cpu.value
        noise = self._noise.get(scenario.name)
        title = f"Service CPU of {scenario.name}, µs per request"
        return ScenarioView(
            number,
            scenario,
            rows,
            unanswered,
            chart(title, [_entry(row) for row in rows], median, floor_of(noise)),
            spread(noise),
            self._operation_anchor(scenario.operation),
        )

    def _operation_anchor(self, name: str) -> str | None:
        """Where the code of a scenario stands: its operation, or the family of one that is several."""
        if any(found.name == name for found in self.results.operations):
            return _anchor(name)
        family = name.partition(".")[0]
        return f"family-{_slug(family)}" if family in dict(self.operations) else None

    def _operation(self, found: Operation) -> OperationView:
        known = {implementation.backend: implementation for implementation in found.implementations}
        backends = dict.fromkeys([*(arm.backend for arm in self.services if arm.backend), *known])
        return OperationView(
            _anchor(found.name), found, [(name, self.hue(name), known.get(name)) for name in backends]
        )


def _entry(row: Row) -> Entry:
    cpu = row.cell.service_cpu
    style = f"hue-{row.hue} {row.arm.kind}"
    if cpu is None:
        return Entry(row.arm.name, style, None, 0.0, 0.0, "no figure")
    return Entry(row.arm.name, style, cpu.value, cpu.low, cpu.high, f"{figure(cpu.value)} µs")


def _anchor(name: str) -> str:
    return f"code-{_slug(name)}"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
