"""The measurements of a comparison, one after the other, each within its share of the budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from assay.commands.entering import processes
from assay.commands.options import Options
from assay.measure import delays as delayed
from assay.measure.arms import Entrant
from assay.measure.attribution import waiting
from assay.measure.campaign import SAMPLE_EVERY, Contestant, Found, Task, missing, seeded
from assay.measure.capacity import capacities
from assay.measure.course import TURNS, run_course
from assay.measure.dataset import Rows
from assay.measure.growth import OPERATIONS, STEPS, growth
from assay.measure.latency import ONE_OF_THREE, OPEN_LOOP, latencies
from assay.measure.pinning import pin, pin_for_latency
from assay.measure.rounds import Plan
from assay.measure.scenarios import SCENARIOS, Scenario
from assay.measure.workload import Sizes
from assay.progress import Steps
from assay.report.figures import Capacity, Delay, Growth, Latency
from assay.report.model import Cell
from assay.stand import Stand
from shared.registry import Service

SLICE_SECONDS = 0.05
"""Shared machines change their speed within a second: in the same time, twice as many slices of half the
length gave intervals a third narrower."""
WARM_UP_SECONDS = 2.0
QUICK_WARM_UP_SECONDS = 0.6
MOST_ROUNDS = 10_000

LEFT_OUT = "left out of a quick run"
NOT_ASKED = "not asked for: --db-delay 0,1,5"
STOPPED = "the run was stopped before it"
OUT_OF_REACH = "the way to its database is not ours"

AT_CAPACITY = ("users.get",)
WITH_FLOORS_IN_QUICK = ("users.get",)
FAR_AWAY = ("users.get", "documents.get", "documents.patch-content", "documents.transfer")

# lanes that no arm writes to in the closed loop: each of these starts on rows that are as they were seeded
LATENCY_LANE, CAPACITY_LANE, WAITING_LANE, LIMIT_LANE = 5, 6, 7, 8


@dataclass(frozen=True)
class Shares:
    """Of the budget, for each measurement."""

    cost: float = 0.54
    latency: float = 0.14
    capacity: float = 0.14
    waiting: float = 0.04
    growth: float = 0.06
    delays: float = 0.08


@dataclass
class Measured:
    """What was found until now."""

    found: dict[str, Found] = field(default_factory=dict)
    latencies: list[Latency] = field(default_factory=list)
    capacities: list[Capacity] = field(default_factory=list)
    waiting: dict[tuple[str, str], float | None] = field(default_factory=dict)
    growth: list[Growth] = field(default_factory=list)
    delays: list[Delay] = field(default_factory=list)


class Phases:
    def __init__(
        self, options: Options, entrants: Sequence[Entrant], baseline: str, twin: str, steps: Steps
    ) -> None:
        self.measured = Measured()
        self._options = options
        self._entrants = entrants
        self._baseline = baseline
        self._twin = twin
        self._steps = steps
        self._shares = Shares()
        workload = options.workload
        self.sizes = Sizes() if workload is None else workload.rows
        self.scenarios: Sequence[Scenario] = SCENARIOS if workload is None else (workload.scenario(),)

    @property
    def _candidates(self) -> list[Entrant]:
        return [one for one in self._entrants if one.kind in ("service", "url")]

    def _within(self, share: float) -> float:
        return share * self._options.budget

    async def cost(self) -> None:
        """What each scenario costs each arm; the whole budget in a quick run."""
        share = 1.0 if self._options.quick else self._shares.cost
        tasks, left_out = [], list[Cell]()
        for scenario in self.scenarios:
            reasons = {one.name: self._why_missing(one, scenario) for one in self._entrants}
            entered = [one.contestant for one in self._entrants if reasons[one.name] is None]
            twins = (self._baseline, self._twin)
            tasks.append(Task(scenario, entered, self._baseline, twins, self.plan(scenario)))
            left_out += [missing(scenario, name, why) for name, why in reasons.items() if why is not None]
        with self._steps.step("measure", 1_000) as advance:

            def told(scenario: str, done: float) -> None:
                advance.to(f"measure {scenario}", 1_000 * done)

            self.measured.found = await run_course(
                tasks, self._within(share), told, turns=1 if self._options.quick else TURNS
            )
        for cell in left_out:
            self.measured.found[cell.scenario].cells.append(cell)

    def _why_missing(self, entrant: Entrant, scenario: Scenario) -> str | None:
        reason = entrant.why_missing(scenario)
        # a quick run spends its time on the services
        is_extra = entrant.kind == "floor" and scenario.name not in WITH_FLOORS_IN_QUICK
        if reason is None and self._options.quick and is_extra:
            return LEFT_OUT
        return reason

    def plan(self, scenario: Scenario) -> Plan:
        return Plan(
            rounds=MOST_ROUNDS,
            precision=self._options.precision,
            slices=1,
            slice_seconds=SLICE_SECONDS,
            warm_up_seconds=QUICK_WARM_UP_SECONDS if self._options.quick else WARM_UP_SECONDS,
            connections=scenario.connections,
            think_ms=scenario.think_ms,
            sample_every=SAMPLE_EVERY,
            seed=seeded(self._options.seed, scenario),
        )

    async def open_loop(self) -> None:
        """Latency and capacity, with a core for the generator alone."""
        pin_for_latency(*processes(self._entrants))
        try:
            await self._latencies()
            await self._capacities()
        finally:
            pin(*processes(self._entrants))

    async def _latencies(self) -> None:
        chosen = self._chosen(OPEN_LOOP)
        try:
            if not self._options.quick:
                wanted = self._wanted(chosen)
                seconds = self._within(self._shares.latency) / (len(chosen) + len(wanted))
                for scenario in chosen:
                    await self._latency(scenario, seconds, None, LATENCY_LANE)
                for scenario, rate in wanted:
                    await self._latency(scenario, seconds, rate, LIMIT_LANE)
        finally:
            # a limit is held against all scenarios, those among them that a stopped run did not get to
            self.measured.latencies += self._without_latency([scenario.name for scenario in chosen])

    def _without_latency(self, chosen: Sequence[str]) -> list[Latency]:
        measured = {found.scenario for found in self.measured.latencies}
        return [
            Latency(
                arm=one.name,
                scenario=scenario.name,
                missing=LEFT_OUT
                if self._options.quick
                else STOPPED
                if scenario.name in chosen
                else ONE_OF_THREE,
            )
            for scenario in self.scenarios
            if scenario.name not in measured
            for one in self._candidates
        ]

    def _wanted(self, chosen: Sequence[Scenario]) -> list[tuple[Scenario, float]]:
        """The rates at which limits want latencies known, with the scenarios."""
        found = [
            (scenario, limit.per_second)
            for limit in self._options.limits
            for scenario in chosen
            if limit.per_second is not None and limit.wants(scenario.name)
        ]
        return [*dict.fromkeys(found)]

    async def _latency(self, scenario: Scenario, seconds: float, rate: float | None, lane: int) -> None:
        doing = f"latency {scenario.name}" + ("" if rate is None else f" at {rate:g}/s")
        with self._steps.step(doing, round(seconds)) as advance:
            self.measured.latencies += await latencies(
                scenario,
                self._in_lane(lane),
                seconds,
                per_second=rate,
                arrivals=self._options.arrivals,
                seed=seeded(self._options.seed + lane, scenario),
                on_slice=advance,
            )

    async def _capacities(self) -> None:
        chosen = self._chosen(AT_CAPACITY)
        if self._options.quick:
            self.measured.capacities = [
                Capacity(
                    arm=one.name, scenario=scenario.name, missing=LEFT_OUT, target_ms=self._options.target_ms
                )
                for scenario in chosen
                for one in self._candidates
            ]
            return
        seconds = self._within(self._shares.capacity) / len(chosen)
        for scenario in chosen:
            with self._steps.step(f"capacity {scenario.name}") as advance:
                self.measured.capacities += await capacities(
                    scenario,
                    self._in_lane(CAPACITY_LANE),
                    seconds,
                    target_ms=self._options.target_ms,
                    seed=seeded(self._options.seed + CAPACITY_LANE, scenario),
                    on_step=advance,
                )

    async def wait(self) -> None:
        """How long a lone request of each scenario takes while nobody computes."""
        if self._options.quick:
            return
        share = self._within(self._shares.waiting) / len(self.scenarios)
        with self._steps.step("one request at a time", len(self.scenarios)) as advance:
            for scenario in self.scenarios:
                lone = await waiting(
                    scenario,
                    self._in_lane(WAITING_LANE, "service"),
                    share,
                    seeded(self._options.seed + WAITING_LANE, scenario),
                )
                self.measured.waiting |= {(arm, scenario.name): waited for arm, waited in lone.items()}
                advance()

    async def grow(self) -> None:
        if self._options.quick:
            self.measured.growth = [
                Growth(arm=one.name, operation=operation.name, missing=LEFT_OUT)
                for operation in OPERATIONS
                for one in self._candidates
            ]
            return
        with self._steps.step("growth with the rows of a request", STEPS) as advance:
            self.measured.growth = await growth(
                self._in_lane(WAITING_LANE),
                self._within(self._shares.growth),
                seed=self._options.seed,
                on_step=advance,
            )

    async def delay(self, stand: Stand, services: Sequence[Service], rows: Mapping[str, Rows]) -> None:
        chosen = self._chosen(FAR_AWAY)
        asked = self._options.delays
        reasons = {one.name: OUT_OF_REACH for one in self._candidates if one.kind == "url"}
        if not asked:
            reasons = {one.name: NOT_ASKED for one in self._candidates}
        else:
            seconds = self._within(self._shares.delays if not self._options.quick else 0.5)
            with self._steps.step("a database farther away", delayed.steps(chosen)) as advance:
                self.measured.delays = await delayed.delays(
                    chosen, stand, services, rows, asked, seconds, seed=self._options.seed, on_step=advance
                )
        self.measured.delays += [
            Delay(arm=arm, scenario=scenario.name, missing=why, asked_ms=asked_ms)
            for arm, why in reasons.items()
            for scenario in chosen
            for asked_ms in (asked or (0.0,))
        ]

    def _chosen(self, names: Sequence[str]) -> list[Scenario]:
        """Of those measured; all where they are somebody's own."""
        named = [scenario for scenario in self.scenarios if scenario.name in names]
        return named or [*self.scenarios]

    def _in_lane(self, lane: int, *kinds: str) -> list[Contestant]:
        return [
            replace(one.contestant, target=replace(one.contestant.target, lane=lane))
            for one in self._candidates
            if not kinds or one.kind in kinds
        ]


def all_cells(measured: Measured, scenarios: Sequence[Scenario], entrants: Sequence[Entrant]) -> list[Cell]:
    """Of every scenario and arm; where a run was stopped before, its cells say so."""
    cells: list[Cell] = []
    for scenario in scenarios:
        found = measured.found.get(scenario.name)
        cells += [missing(scenario, one.name, STOPPED) for one in entrants] if found is None else found.cells
    return cells
