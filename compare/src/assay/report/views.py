"""What every part of the page is drawn from: arms with their colours, scenarios, conformance, code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from assay.judge.verdict import floor_of
from assay.report.charts import Chart, Entry, chart
from assay.report.model import ADVICE, Arm, Cell, Doubt, Implementation, Operation, Results, Scenario
from assay.report.words import SIGNS, figure, spread, verdict_on

HUES = {"asyncpg": 1, "sqlalchemy": 2, "tortoise": 3, "motor": 4}
"""A layer keeps its colour in every report; others get the free ones in turn."""
FREE_HUES = (5, 6, 7, 8)
GREY = 0
NOT_MEASURED = "not measured in this run"


class Told(Protocol):
    """A figure of an arm, or why there is none."""

    @property
    def arm(self) -> str: ...

    @property
    def missing(self) -> str | None: ...


T = TypeVar("T", bound=Told)


@dataclass(frozen=True)
class ArmFigures(Generic[T]):
    """What was found of an arm; `found` is None where `missing` says why."""

    arm: Arm
    hue: int
    found: T | None
    missing: str | None

    @property
    def style(self) -> str:
        return f"hue-{self.hue} {self.arm.kind}"


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
    """`unanswered` are the floors that have no figures here; `doubts` come with the arms they are about."""

    number: int
    scenario: Scenario
    rows: list[Row]
    unanswered: list[Row]
    doubts: list[tuple[Doubt, str, list[Row]]]
    chart: Chart
    spread: str
    operation: str | None


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
        """The arms that are to be chosen from."""
        return [arm for arm in self.results.arms if arm.kind in ("service", "url")]

    @cached_property
    def scenarios(self) -> list[ScenarioView]:
        return [self._scenario(number, found) for number, found in enumerate(self.results.scenarios, 1)]

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

    def each(self, found: Sequence[T]) -> list[ArmFigures[T]]:
        """One line for each candidate, also where nothing was found, and for whatever else was measured."""
        known = {one.arm: one for one in found}
        arms = [arm for arm in self.results.arms if arm in self.services or arm.name in known]
        return [self._figures(arm, known.get(arm.name)) for arm in arms]

    def in_order(self, scenarios: Sequence[str]) -> list[str]:
        """Each once, as the run had them."""
        named = [scenario.name for scenario in self.results.scenarios if scenario.name in scenarios]
        return list(dict.fromkeys([*named, *scenarios]))

    def _figures(self, arm: Arm, found: T | None) -> ArmFigures[T]:
        missing = (arm.excluded or NOT_MEASURED) if found is None else found.missing
        return ArmFigures(arm, self.hue_of(arm), found if missing is None else None, missing)

    def row(self, arm: Arm, scenario: Scenario) -> Row | None:
        """None only for a floor in a scenario that has none."""
        cell = self._cells.get((arm.name, scenario.name))
        if cell is None and arm.kind == "floor" and not scenario.floor:
            return None
        if cell is None:
            cell = Cell(arm=arm.name, scenario=scenario.name, missing=arm.excluded or NOT_MEASURED)
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
            _doubted(rows),
            chart(title, [_entry(row) for row in rows], median, floor_of(noise)),
            spread(noise),
            self._operation_anchor(scenario.operation),
        )

    def _operation_anchor(self, name: str) -> str | None:
        """Where the code of a scenario stands: its operation, or the family of one that is several."""
        if any(found.name == name for found in self.results.operations):
            return _anchor(name)
        family = name.partition(".")[0]
        return f"family-{slug(family)}" if family in dict(self.operations) else None

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


def _doubted(rows: Sequence[Row]) -> list[tuple[Doubt, str, list[Row]]]:
    """Each doubt once, with its advice and the rows that it is about."""
    return [
        (doubt, ADVICE[doubt], about)
        for doubt in Doubt
        if (about := [row for row in rows if doubt in row.cell.doubts])
    ]


def _anchor(name: str) -> str:
    return f"code-{slug(name)}"


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
