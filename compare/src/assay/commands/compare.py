"""`assay compare`: stand, equal work, seed, measure, report."""

import asyncio
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from rich.console import Console

from assay.commands.chosen import chosen
from assay.commands.contract import Proof, prove
from assay.judge.environment import environment
from assay.judge.parity import manifest
from assay.judge.source import operations
from assay.judge.verdict import judge
from assay.measure import campaign, dataset
from assay.measure.arms import IN_COMPARISON, NO_SUCH_OPERATION, Entrant, Entry
from assay.measure.campaign import Found
from assay.measure.dataset import Rows
from assay.measure.pinning import pin
from assay.measure.rounds import Plan
from assay.measure.scenarios import SCENARIOS, Scenario
from assay.progress import Steps
from assay.report import html, json_file, terminal
from assay.report.model import Arm, ClauseResult, Failure, Method, Noise, Results
from assay.report.model import Scenario as DescribedScenario
from assay.stand import Stand, StandError, StandOptions, open_stand
from shared.registry import Service

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)").fullmatch
_UNITS = {"s": 1, "m": 60, "h": 3600}

QUICK_BUDGET = 72.0
SLICE_SECONDS = 0.15
QUICK_SLICE_SECONDS = 0.1
WARM_UP_SECONDS = 0.2
LEAST_ROUNDS = 5
LEFT_OUT = "left out of a quick run"

# read by every service that the stand starts: round trips are told, and no dashboard comes from a cache
_MEASURED = {"SERVER_TIMING": "1", "DASHBOARD_TTL": "0"}


@dataclass(frozen=True)
class Options:
    """`budget` is the seconds for measuring; starting, proving and seeding come on top."""

    services: Sequence[Service]
    budget: float
    quick: bool
    output: Path
    baseline: str
    seed: int
    command: str


def options_of(
    names: Sequence[str],
    quick: bool,
    budget: str,
    output: Path,
    baseline: str | None,
    seed: int,
    arguments: Sequence[str],
) -> Options:
    services = chosen(names)
    known = [service.name for service in services]
    first = baseline or ("asyncpg" if "asyncpg" in known else known[0])
    if first not in known:
        raise StandError(f"--baseline {first} is not among the compared: {', '.join(known)}.")
    matched = _DURATION(budget)
    if matched is None:
        raise StandError(f"--budget {budget!r} is no duration: write 90s or 5m.")
    seconds = QUICK_BUDGET if quick else float(matched[1]) * _UNITS[matched[2]]
    return Options(services, seconds, quick, output, first, seed, " ".join(["assay", *arguments]))


async def compare(options: Options, stand_options: StandOptions, console: Console) -> int:
    """0, or 1 where an arm failed the contract or a number was withheld."""
    os.environ.update(_MEASURED)
    options.output.mkdir(parents=True, exist_ok=True)
    with Steps(console) as steps:
        async with AsyncExitStack() as stack:
            stand = await stack.enter_async_context(open_stand(options.services, stand_options, steps))
            results = await _Comparison(options, stand_options, stand, steps).results()
        with steps.step("report"):
            json_file.write(results, options.output / "results.json")
            html.write(results, options.output / "report.html")
    terminal.show(results, options.output, Console())
    excluded = any(arm.excluded for arm in results.arms)
    withheld = any(cell.missing not in (None, NO_SUCH_OPERATION, LEFT_OUT) for cell in results.cells)
    return 1 if excluded or withheld else 0


class _Comparison:
    def __init__(self, options: Options, stand_options: StandOptions, stand: Stand, steps: Steps) -> None:
        self._options = options
        self._stand_options = stand_options
        self._stand = stand
        self._steps = steps

    async def results(self) -> Results:
        started, began = datetime.now(UTC), time.monotonic()
        proof = await self._prove()
        fit = [service for service in self._options.services if not proof.failures.get(service.name)]
        if not fit:
            raise StandError(f"no backend keeps the contract; see {self._stand.folder / 'contract.log'}.")
        rows = await self._seed(fit)
        entrants = await self._enter(fit, rows)
        found = await self._measure(entrants)
        cells = [cell for one in found.values() for cell in one.cells]
        arms = await self._described(entrants, proof)
        scenarios = [_described(scenario, entrants[0]) for scenario in SCENARIOS]
        noise = [Noise(scenario=name, comparison=one.noise) for name, one in found.items()]
        machine = await environment(self._stand.databases, self._stand_options)
        method = self._method()
        return Results(
            format="assay-results/1",
            started_at=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=time.monotonic() - began,
            command=self._options.command,
            seed=self._options.seed,
            baseline=self._baseline(entrants),
            twin_of=next((arm.backend for arm in arms if arm.kind == "again"), None),
            environment=machine,
            method=method,
            arms=arms,
            scenarios=scenarios,
            cells=cells,
            noise=noise,
            conformance=[
                ClauseResult(clause=clause, backends=dict(backends))
                for clause, backends in proof.clauses.items()
            ],
            operations=operations(self._options.services),
            doubts=sorted({doubt for one in found.values() for doubt in one.doubts}),
            judgement=judge(
                cells,
                noise,
                arms,
                scenarios,
                baseline=self._baseline(entrants),
                method=method,
                environment=machine,
            ),
        )

    async def _prove(self) -> Proof:
        urls = {name: running.url for name, running in self._stand.services.items()}
        with self._steps.step("equal work: the quick part of the contract"):
            return await prove(urls, self._stand.folder)

    async def _seed(self, fit: Sequence[Service]) -> Mapping[str, Rows]:
        """Every arm starts from an empty database, whatever the contract left in it."""
        with self._steps.step("fresh databases"):
            await self._stand.stop_services()
            await asyncio.gather(*(self._stand.open(service) for service in fit))
        step = f"seed {dataset.USERS:,} users and {dataset.DOCUMENTS:,} documents for each"
        with self._steps.step(step, dataset.batches() * len(fit)) as advance:
            urls = [self._stand.services[service.name].url for service in fit]
            seeded = await asyncio.gather(*(dataset.seed(url, advance) for url in urls))
            for service in fit:
                await self._settle(service)
        return {service.name: rows for service, rows in zip(fit, seeded, strict=True)}

    async def _settle(self, service: Service) -> None:
        """Fresh statistics for PostgreSQL's planner now, and not at a time of its own amid a slice."""
        if service.database == "postgresql":
            conn = await asyncpg.connect(self._stand.databases.url_for(service)["DATABASE_URL"], timeout=5)
            try:
                await conn.execute("VACUUM ANALYZE")
            finally:
                await conn.close(timeout=5)

    async def _enter(self, fit: Sequence[Service], rows: Mapping[str, Rows]) -> list[Entrant]:
        entry = Entry(self._stand, rows)
        entrants = [entry.service(service) for service in fit]
        twin = next((service for service in fit if service.name == self._options.baseline), fit[0])
        with self._steps.step("twin and floors"):
            entrants.append(await entry.twin(twin))
            floors = [await entry.floor(name, fit) for name in IN_COMPARISON]
        entrants += [floor for floor in floors if floor is not None]
        databases = {entrant.database.pid for entrant in entrants if entrant.database is not None}
        pin([entrant.running.pid for entrant in entrants], [pid for pid in databases if pid is not None])
        return entrants

    def _baseline(self, entrants: Sequence[Entrant]) -> str:
        names = [entrant.name for entrant in entrants]
        return self._options.baseline if self._options.baseline in names else names[0]

    async def _measure(self, entrants: Sequence[Entrant]) -> dict[str, Found]:
        baseline = self._baseline(entrants)
        twin = next(entrant.name for entrant in entrants if entrant.kind == "again")
        found: dict[str, Found] = {}
        for scenario in SCENARIOS:
            missing = {entrant.name: self._why_missing(entrant, scenario) for entrant in entrants}
            entered = [entrant.contestant for entrant in entrants if missing[entrant.name] is None]
            plan = self._plan(scenario, len(entered))
            with self._steps.step(f"measure {scenario.name}", plan.rounds) as advance:
                found[scenario.name] = await campaign.run(
                    scenario, entered, baseline, (baseline, twin), plan, advance.after
                )
            found[scenario.name].cells.extend(
                campaign.missing(scenario, name, reason) for name, reason in missing.items() if reason
            )
        return found

    def _why_missing(self, entrant: Entrant, scenario: Scenario) -> str | None:
        if not entrant.answers(scenario):
            return NO_SUCH_OPERATION
        # a quick run spends its time on the services; floors stay where one of a driver is beside them
        if self._options.quick and entrant.kind == "floor" and len(scenario.floors) == 1:
            return LEFT_OUT
        return None

    def _plan(self, scenario: Scenario, arms: int) -> Plan:
        seconds = self._options.budget / len(SCENARIOS) - arms * WARM_UP_SECONDS
        return Plan(
            rounds=max(LEAST_ROUNDS, int(seconds / (arms * self._slice_seconds()))),
            least_rounds=LEAST_ROUNDS,
            seconds=seconds,
            slices=1,
            slice_seconds=self._slice_seconds(),
            warm_up_seconds=WARM_UP_SECONDS,
            connections=scenario.connections,
            sample_every=campaign.SAMPLE_EVERY,
            seed=campaign.seeded(self._options.seed, scenario),
        )

    def _slice_seconds(self) -> float:
        return QUICK_SLICE_SECONDS if self._options.quick else SLICE_SECONDS

    def _method(self) -> Method:
        return Method(
            slices=1,
            slice_seconds=self._slice_seconds(),
            warm_up_seconds=WARM_UP_SECONDS,
            users=dataset.USERS,
            documents=dataset.DOCUMENTS,
        )

    async def _described(self, entrants: Sequence[Entrant], proof: Proof) -> list[Arm]:
        arms = [
            _excluded(service, proof)
            for service in self._options.services
            if proof.failures.get(service.name)
        ]
        for entrant in entrants:
            parity: dict[str, str] = {}
            if entrant.kind != "floor" and entrant.backend is not None and entrant.database is not None:
                parity = await manifest(entrant.backend, entrant.running, entrant.database)
            arms.append(
                Arm(
                    name=entrant.name,
                    title=entrant.title,
                    kind=entrant.kind,
                    backend=None if entrant.backend is None else entrant.backend.name,
                    layer=entrant.layer,
                    database=None if entrant.database is None else entrant.database.kind,
                    parity=parity,
                    failures=[],
                    excluded=None,
                )
            )
        return arms


def _excluded(service: Service, proof: Proof) -> Arm:
    failures = proof.failures[service.name]
    return Arm(
        name=service.name,
        title=service.title,
        kind="service",
        backend=service.name,
        layer=service.layer,
        database=service.database,
        parity={},
        failures=[Failure(test=test, clauses=clauses, message="") for test, clauses in failures.items()],
        excluded=f"{len(failures)} tests of the contract failed",
    )


def _described(scenario: Scenario, entrant: Entrant) -> DescribedScenario:
    asked = scenario.source(entrant.contestant.target, seed=1)()
    wire = asked if isinstance(asked, bytes) else asked.wire
    head, _, body = wire.decode().partition("\r\n\r\n")
    first = head.partition(" HTTP/1.1")[0]
    example = f"{first} {body}".strip()
    return DescribedScenario(
        name=scenario.name,
        title=scenario.title,
        operation=scenario.operation,
        clauses=list(scenario.clauses),
        example=example if len(example) <= 400 else f"{example[:400]}…",
        connections=scenario.connections,
        floor=bool(scenario.floors),
    )
