"""A comparison under way, and what it has found until now as results."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from assay.commands.contract import Proof
from assay.commands.entering import Entering, described, excluded, fit_services
from assay.commands.options import Options
from assay.commands.phases import STOPPED, Phases, all_cells
from assay.judge.candidates import candidates
from assay.judge.changes import changes
from assay.judge.code import code_of
from assay.judge.contents import Held, check, contents
from assay.judge.criteria import Measured as Weighed
from assay.judge.decision import decide
from assay.judge.environment import environment
from assay.judge.parity import Parity, read_parity
from assay.judge.source import operations
from assay.judge.verdict import judge
from assay.measure.arms import Entrant
from assay.measure.attribution import splits
from assay.measure.footprint import Footprints
from assay.measure.scenarios import Scenario
from assay.measure.statistics import CONFIDENCE, PRACTICAL
from assay.progress import Steps
from assay.report.care import LayerCode
from assay.report.figures import Footprint
from assay.report.model import (
    FORMAT,
    Cell,
    ClauseResult,
    Content,
    Doubt,
    Environment,
    Method,
    Noise,
    Results,
)
from assay.report.model import Scenario as DescribedScenario
from assay.stand import Stand, StandError, StandOptions
from shared.registry import Service


class Comparison:
    def __init__(self, options: Options, stand_options: StandOptions, stand: Stand, steps: Steps) -> None:
        self._options = options
        self._stand_options = stand_options
        self._stand = stand
        self._steps = steps
        self._started, self._began = datetime.now(UTC), time.monotonic()
        self._proof = Proof({}, {})
        self._entrants: list[Entrant] = []
        self._parity = Parity([], {})
        self._phases: Phases | None = None
        self._code: list[LayerCode] = []
        self._footprints: list[Footprint] = []
        self._contents: list[Content] = []
        self._environment: Environment | None = None

    @property
    def has_figures(self) -> bool:
        return self._phases is not None and bool(self._phases.measured.found)

    async def run(self) -> None:
        """StandError where it cannot be done as it was asked for."""
        entering = Entering(self._options, self._stand, self._steps)
        self._environment = await environment(self._stand.databases, self._stand_options)
        with self._steps.step("code and dependencies"):
            self._code = code_of(self._options.services, findings=not self._options.quick)
        self._proof = await entering.prove()
        fit = fit_services(self._options, self._proof, self._stand.folder)
        urls = [name for name in self._options.urls if not self._proof.failures.get(name)]
        rows = await entering.seed(fit, urls)
        self._entrants = await entering.enter(fit, rows)
        phases = Phases(self._options, self._entrants, self._baseline, self._twin, self._steps)
        with self._steps.step("parity of the running arms"):
            # the plans of the scenarios' queries take the most of its time
            self._parity = await read_parity(self._entrants, () if self._options.quick else phases.scenarios)
        self._refuse_unequal()
        footprints = Footprints(self._stand, starts=not self._options.quick)
        with self._steps.step("footprint of each arm"):
            await footprints.before(self._entrants)
        with self._steps.step("contents before"):
            before = await self._contents_of(fit)
        self._phases = phases
        await phases.cost()
        self._footprints = await footprints.after(self._entrants)
        await phases.open_loop()
        await phases.wait()
        await phases.grow()
        await phases.delay(self._stand, fit, rows)
        with self._steps.step("contents after"):
            after = await self._contents_of(fit, before)
            first = before[self._baseline]
            self._contents = [check(name, before[name], after[name], first, None) for name in before]

    def _refuse_unequal(self) -> None:
        unequal = [f"{arm}: {'; '.join(alarms)}" for arm, alarms in self._parity.alarms.items() if alarms]
        if self._options.strict and unequal:
            raise StandError(f"--strict: the arms are not equal. {' | '.join(unequal)}")

    async def _contents_of(
        self, fit: Sequence[Service], first: Mapping[str, Held] | None = None
    ) -> dict[str, Held]:
        found: dict[str, Held] = {}
        for service in fit:
            [url] = self._stand.databases.url_for(service).values()
            found[service.name] = await contents(url, None if first is None else first[service.name])
        return found

    @property
    def _baseline(self) -> str:
        names = [entrant.name for entrant in self._entrants]
        return self._options.baseline if self._options.baseline in names else names[0]

    @property
    def _twin(self) -> str:
        return next(entrant.name for entrant in self._entrants if entrant.kind == "again")

    def results(self) -> Results:
        """What there is: what a run that was stopped did not get to is missing, and says so."""
        assert self._phases is not None
        assert self._environment is not None
        measured = self._phases.measured
        arms = [*excluded(self._options, self._proof), *described(self._entrants, self._parity.alarms)]
        cells = [self._doubted(cell) for cell in all_cells(measured, self._phases.scenarios, self._entrants)]
        scenarios = [_described(scenario, self._entrants[0]) for scenario in self._phases.scenarios]
        noise = [Noise(scenario=name, comparison=one.noise) for name, one in measured.found.items()]
        method = self._method()
        names = [service.name for service in self._options.services]
        known = candidates(self._options.services, self._started.date())
        costs = changes(names)
        weighed = Weighed(
            cells,
            measured.latencies,
            measured.capacities,
            self._footprints,
            self._code,
            costs,
            self._baseline,
        )
        return Results(
            format=FORMAT,
            started_at=self._started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=time.monotonic() - self._began,
            command=self._options.command,
            seed=self._options.seed,
            baseline=self._baseline,
            twin_of=next((arm.backend for arm in arms if arm.kind == "again"), None),
            environment=self._environment,
            method=method,
            arms=arms,
            scenarios=scenarios,
            cells=cells,
            noise=noise,
            parity=self._parity.properties,
            contents=self._contents,
            latencies=measured.latencies,
            capacities=measured.capacities,
            splits=splits(cells, arms, measured.waiting),
            footprints=self._footprints
            or [Footprint(arm=entrant.name, missing=STOPPED) for entrant in self._entrants],
            growth=measured.growth,
            delays=measured.delays,
            code=self._code,
            changes=costs,
            candidates=known,
            conformance=[
                ClauseResult(clause=clause, backends=dict(backends))
                for clause, backends in self._proof.clauses.items()
            ],
            operations=operations(self._options.services),
            doubts=sorted({doubt for cell in cells for doubt in cell.doubts}),
            judgement=judge(
                cells,
                noise,
                arms,
                scenarios,
                baseline=self._baseline,
                method=method,
                environment=self._environment,
            ),
            decision=decide(weighed, arms, known, self._options.weights, self._options.limits),
        )

    def _doubted(self, cell: Cell) -> Cell:
        """An arm that is not equal is doubted in all its figures."""
        if cell.missing is not None or not self._parity.alarms.get(cell.arm):
            return cell
        return cell.model_copy(update={"doubts": [*cell.doubts, Doubt.UNEQUAL]})

    def _method(self) -> Method:
        assert self._phases is not None
        plan = self._phases.plan(self._phases.scenarios[0])
        sizes = self._phases.sizes
        return Method(
            slices=plan.slices,
            slice_seconds=plan.slice_seconds,
            warm_up_seconds=plan.warm_up_seconds,
            budget_seconds=self._options.budget,
            precision=self._options.precision,
            confidence=CONFIDENCE,
            practical=PRACTICAL,
            users=sizes.users,
            documents=sizes.documents,
            workload=self._options.workload_text,
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
