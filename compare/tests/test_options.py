"""What a comparison may be asked for, and what of it is measured."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from assay.commands import phases as measuring
from assay.commands.options import Options, options_of
from assay.commands.phases import STOPPED, Phases
from assay.measure.arms import Entrant
from assay.measure.latency import ONE_OF_THREE, OPEN_LOOP
from assay.measure.scenarios import Scenario
from assay.progress import Steps
from assay.report.figures import Latency
from assay.stand import StandError

EXAMPLES = Path(__file__).parents[2] / "examples"


def asked(*require: str, quick: bool = False, workload: str | None = None, arguments: str = "") -> Options:
    return options_of(
        ["asyncpg"],
        quick=quick,
        budget="5m",
        output=Path("out"),
        baseline=None,
        seed=1,
        precision=0.05,
        target_ms=50,
        arrivals="poisson",
        delays=None,
        workload=None if workload is None else EXAMPLES / workload,
        api_urls=[],
        weights=None,
        require=require,
        strict=False,
        arguments=arguments.split(),
    )


@pytest.mark.parametrize("arguments", ["--quick --budget 20m", "--quick --budget=5m"])
def test_a_quick_run_takes_no_budget(arguments: str) -> None:
    with pytest.raises(StandError, match="leave out --quick, or --budget"):
        asked(quick=True, arguments=arguments)
    assert asked(arguments="--budget=5m").budget == 300


@pytest.mark.parametrize(
    ("require", "arguments", "named"),
    [
        ("p99 < 20 ms at 500/s", "", "--require 'p99"),
        ("capacity > 800/s", "", "--require 'capacity"),
        ("transactions", "--quick --target=9", "--target"),
        ("transactions", "--quick --arrivals constant", "--arrivals"),
    ],
)
def test_a_quick_run_is_asked_nothing_that_it_cannot_tell(require: str, arguments: str, named: str) -> None:
    with pytest.raises(StandError, match=f"leave out --quick, or {named}"):
        asked(require, quick=True, arguments=arguments)
    asked(require, arguments=arguments.replace("--quick ", ""))
    asked("transactions", "memory < 200 MiB", quick=True)


def test_the_command_of_a_run_can_be_given_to_a_shell_again() -> None:
    assert asked(arguments="compare --require p99<20ms").command == "assay compare --require 'p99<20ms'"


def test_a_limit_names_a_scenario_that_has_an_open_loop() -> None:
    with pytest.raises(StandError, match=", ".join(OPEN_LOOP)):
        asked("p99 < 20 ms at 500/s in dashboard")
    for name in OPEN_LOOP:
        assert asked(f"p99 < 20 ms at 500/s in {name}").limits[0].scenario == name


def test_in_a_workload_a_limit_names_its_scenario() -> None:
    name = "workload ycsb-a"
    assert asked(f"p99 < 20 ms at 500/s in {name}", workload="ycsb_a.toml").limits[0].scenario == name
    with pytest.raises(StandError, match=name):
        asked("p99 < 20 ms at 500/s in users.get", workload="ycsb_a.toml")


class Course:
    """The latencies that a run takes: what would be measured, until it is stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int = 100) -> None:
        self.cells: list[tuple[str, float | None]] = []
        self.seconds = 0.0
        self._most = most
        monkeypatch.setattr(measuring, "latencies", self._latencies)
        for name in ("pin", "pin_for_latency"):
            monkeypatch.setattr(measuring, name, lambda *_: None)
        monkeypatch.setattr(Phases, "_capacities", lambda _: asyncio.sleep(0))

    async def _latencies(
        self, scenario: Scenario, arms: Sequence[Any], seconds: float, *, per_second: float | None, **_: Any
    ) -> list[Latency]:
        if len(self.cells) == self._most:
            raise asyncio.CancelledError
        self.cells.append((scenario.name, per_second))
        self.seconds += seconds
        return [Latency(arm="asyncpg", scenario=scenario.name, missing=None)]


def phases_of(options: Options, monkeypatch: pytest.MonkeyPatch) -> Phases:
    arm: Any = SimpleNamespace(name="asyncpg", kind="service")
    monkeypatch.setattr(Phases, "_in_lane", lambda *_: [])
    monkeypatch.setattr(measuring, "processes", lambda _: ([], []))
    entrants: list[Entrant] = [arm]
    return Phases(options, entrants, "asyncpg", "asyncpg-again", Steps(Console(quiet=True)))


async def test_the_rate_of_a_limit_is_measured_in_each_scenario_that_it_is_held_against(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    course = Course(monkeypatch)
    limits = [
        "p99 < 20 ms at 500/s",
        "p50 < 5 ms at 500/s in users.get",
        "p90 < 9 ms at 90/s in documents.patch",
    ]
    await phases_of(asked(*limits), monkeypatch).open_loop()
    usual: list[tuple[str, float | None]] = [(name, None) for name in OPEN_LOOP]
    assert course.cells == [*usual, *((name, 500.0) for name in OPEN_LOOP), ("documents.patch", 90.0)]
    assert course.seconds == pytest.approx(0.14 * 300)


async def test_a_scenario_that_a_stopped_run_did_not_get_to_is_told_as_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Course(monkeypatch, most=1)
    phases = phases_of(asked("p99 < 20 ms at 90/s"), monkeypatch)
    with pytest.raises(asyncio.CancelledError):
        await phases.open_loop()
    missing = {found.scenario: found.missing for found in phases.measured.latencies}
    assert {name: missing[name] for name in OPEN_LOOP} == dict(
        zip(OPEN_LOOP, (None, STOPPED, STOPPED), strict=True)
    )
    assert missing["dashboard"] == ONE_OF_THREE
