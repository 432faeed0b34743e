"""Gathers what became of every test of a run, and writes it as clause × backend.

`conformance.json` is a `Conformance`, as declared here.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypedDict

import clauses
import pytest

Outcome = Literal["passed", "failed", "gap", "not run"]
"""`gap`: fails as the service's `known_gaps` says. `not run`: skipped, lost with its worker, or no test."""

REFUSALS_SHARE: Final = 1 / 3
"""The least share of a full run's requests that expect another answer than 2xx."""

_WORST_FIRST: Final[Sequence[Outcome]] = ("failed", "not run", "gap", "passed")
_SIGNS: Final[Mapping[Outcome, str]] = {"passed": "✓", "failed": "FAILED", "gap": "gap", "not run": "not run"}


class TestOutcome(TypedDict):
    """A test by pytest's id."""

    id: str
    outcome: Outcome


class Cell(TypedDict):
    """What a backend's tests of one clause say together: the worst of them."""

    outcome: Outcome
    tests: list[TestOutcome]


class ClauseRow(TypedDict):
    """A clause, and its cell for each backend by name."""

    id: str
    backends: dict[str, Cell]


class Conformance(TypedDict):
    """The whole file. `requests` counts answers by status class ("2xx") for each backend."""

    ended: str
    backends: list[str]
    requests: dict[str, dict[str, int]]
    clauses: list[ClauseRow]


@dataclass(frozen=True)
class Planned:
    """A collected test; `backend` is None where it speaks for all of them."""

    clauses: tuple[str, ...]
    backend: str | None


@dataclass
class Run:
    """What is known of a run; in a distributed one the controller's holds what the workers told."""

    backends: list[str] = field(default_factory=list)
    planned: dict[str, Planned] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    answers: dict[str, Counter[str]] = field(default_factory=dict)

    def record(self, report: pytest.TestReport) -> None:
        """Takes the report of one phase of a test; a failed phase is never overwritten."""
        if report.failed:
            self.outcomes[report.nodeid] = "failed"
        elif report.skipped:
            self.outcomes.setdefault(report.nodeid, "gap" if hasattr(report, "wasxfail") else "not run")
        elif report.when == "call":
            self.outcomes.setdefault(report.nodeid, "passed")

    def count(self, backend: str, answers: Mapping[str, int]) -> None:
        self.answers.setdefault(backend, Counter()).update(answers)

    def told(self) -> dict[str, object]:
        """What a worker tells the process that started it, in plain types; `take` is its reverse."""
        return {
            "planned": {test: [list(plan.clauses), plan.backend] for test, plan in self.planned.items()},
            "answers": {name: dict(counted) for name, counted in self.answers.items()},
        }

    def take(self, told: Mapping[str, Any]) -> None:
        for test, (ids, backend) in told["planned"].items():
            self.planned[test] = Planned(tuple(ids), backend)
        for name, counted in told["answers"].items():
            self.count(name, counted)

    def is_empty(self) -> bool:
        return all(self._outcome(test) == "not run" for test in self.planned)

    def refusals(self) -> float:
        """The share of the answers that were not 2xx; 0 without any."""
        total = sum((counted.total() for counted in self.answers.values()), 0)
        good = sum(counted["2xx"] for counted in self.answers.values())
        return 1 - good / total if total else 0.0

    def conformance(self) -> Conformance:
        return {
            "ended": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "backends": self.backends,
            "requests": {name: dict(sorted(counted.items())) for name, counted in self.answers.items()},
            "clauses": [
                {"id": clause, "backends": {name: self._cell(clause, name) for name in self.backends}}
                for clause in clauses.written()
            ],
        }

    def not_run(self) -> list[str]:
        """Tests that were skipped, or lost with their worker."""
        return [test for test in self.planned if self._outcome(test) == "not run"]

    def _cell(self, clause: str, backend: str) -> Cell:
        tests: list[TestOutcome] = [
            {"id": test, "outcome": self._outcome(test)}
            for test, plan in self.planned.items()
            if clause in plan.clauses and plan.backend in (None, backend)
        ]
        return {"outcome": _worst(test["outcome"] for test in tests), "tests": tests}

    def _outcome(self, test: str) -> Outcome:
        return self.outcomes.get(test, "not run")


def is_full(conformance: Conformance) -> bool:
    """Whether every clause has a test for every backend of the run."""
    return all(cell["tests"] for row in conformance["clauses"] for cell in row["backends"].values())


def write(conformance: Conformance, file: Path) -> None:
    file.write_text(json.dumps(conformance, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def table(conformance: Conformance) -> list[str]:
    """The lines of the clause × backend table, aligned."""
    names = conformance["backends"]
    rows = [
        ["clause", *names],
        *([row["id"], *(_sign(row["backends"][name]) for name in names)] for row in conformance["clauses"]),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]


def _sign(cell: Cell) -> str:
    return f"{_SIGNS[cell['outcome']]} {len(cell['tests'])}" if cell["tests"] else "no test"


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    return min(outcomes, key=_WORST_FIRST.index, default="not run")
