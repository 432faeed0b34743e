"""One scenario on all arms: rounds, then what they say, cell by cell."""

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx2
import numpy as np

from assay.judge.equality import Held, Ledger, normalised
from assay.measure import cells, statistics
from assay.measure.connection import Asked, Source
from assay.measure.doubts import doubts_of, throttled
from assay.measure.lane import LEAST_ROUNDS, ArmRound
from assay.measure.lane import Arm as LoadArm
from assay.measure.rounds import Plan, Rounds
from assay.measure.scenarios import Scenario, Target
from assay.measure.statistics import Ratio
from assay.report.model import Cell, Comparison, Doubt

_TRIPS = re.compile(r'(?:^|,)\s*db;[^,]*?desc="(\d+)"').search

PROBES = 8
SAMPLE_EVERY = 7


@dataclass(frozen=True)
class Contestant:
    """An arm that is up: where its load goes, whose CPU counts, which rows are its own."""

    name: str
    load: LoadArm
    target: Target
    is_floor: bool

    @property
    def url(self) -> str:
        return f"http://{self.load.host}:{self.load.port}"


@dataclass(frozen=True)
class Task:
    """`twins` names the A/A pair, `baseline` the arm that the others are ratios of."""

    scenario: Scenario
    contestants: Sequence[Contestant]
    baseline: str
    twins: tuple[str, str] | None
    plan: Plan


@dataclass(frozen=True)
class Found:
    """What one scenario gave: a cell for each arm, the A/A comparison, doubts."""

    cells: list[Cell]
    noise: Comparison | None
    doubts: frozenset[Doubt]


class Campaign:
    """A task under way: turns as long as they are worth it, then once `found`."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._arms = {one.name: one for one in task.contestants}
        self._services = [one.name for one in task.contestants if not one.is_floor]
        others = [name for name in self._services if name != task.baseline]
        read = [name for name in others if self._arms[name].load.service_pid is not None]
        self._confidence = statistics.together(len(read))
        self._sources = {
            one.name: task.scenario.source(one.target, task.plan.seed) for one in task.contestants
        }
        loads = [one.load for one in task.contestants]
        self._rounds = Rounds(loads, lambda arm: self._sources[arm.name], task.plan)
        self._ledger = Ledger(task.baseline, others, task.scenario.look or normalised)
        self._read = 0

    async def turn(self, seconds: float, on_round: Callable[[int], None], part: float = 1.0) -> None:
        """Goes on until every ratio of a service is narrow, or the seconds are over. Where further turns are
        to come, `part` is how much of all rounds there will be after this one, and narrow is what will be so
        after the last."""
        least = math.ceil(self.task.plan.least_rounds * part)
        await self._rounds.turn(seconds, lambda: self._is_narrow(part), on_round, least)
        for found in self._rounds.found[self._read :]:
            self._ledger.add(found.arm, found.samples.sampled)
            found.samples.sampled.clear()
        self._read = len(self._rounds.found)
        self._ledger.settle()

    @property
    def half_width(self) -> float:
        """Of the widest interval of a service's ratio to the baseline; 0 where there is none."""
        rounds = self._by_arm()
        ratios = [self._ratio(rounds, self.task.baseline, name, self.between) for name in self._services]
        return max((ratio.half_width for ratio in ratios if ratio is not None), default=0.0)

    @property
    def between(self) -> float | None:
        """How far the turns of this scenario are apart: the mean over its services' ratios; None after one
        turn."""
        rounds, baseline = self._by_arm(), self.task.baseline
        others = [name for name in self._services if name != baseline and baseline in rounds]
        found = [statistics.between(cells.by_turn(rounds[name], rounds[baseline])) for name in others]
        return statistics.mean(found)

    @property
    def is_done(self) -> bool:
        """Whether another turn would change nothing."""
        return self._rounds.is_over or self._is_narrow()

    def _is_narrow(self, part: float = 1.0) -> bool:
        precision = self.task.plan.precision
        if precision is None or self._rounds.count < LEAST_ROUNDS * part:
            return False
        return self.half_width * math.sqrt(part) <= precision

    async def found(self, usual: float | None = None) -> Found:
        """What the turns gave; asks every service some more requests, for their round trips.

        `usual` is how far turns are apart in all scenarios of the run: a few turns that were close by chance
        say nothing, so that the farther of the two counts.
        """
        between = max((one for one in (self.between, usual) if one is not None), default=None)
        rounds = self._by_arm()
        reasons = {name: self._why_missing(rounds[name], name) for name in self._arms}
        trips = {name: await self._trips(name, reasons) for name in self._arms}
        fit = {name: found for name, found in rounds.items() if reasons[name] is None}
        noise = (
            None
            if self.task.twins is None
            else cells.compared(self._ratio(fit, *self.task.twins, between), 0.0)
        )
        made = [
            self._figures(fit, name, trips[name], noise, between)
            if reason is None
            else cells.withheld(self.task.scenario.name, name, rounds[name], self._held(name), reason)
            for name, reason in reasons.items()
        ]
        return Found(made, noise, frozenset(doubt for cell in made for doubt in cell.doubts))

    def _by_arm(self) -> dict[str, list[ArmRound]]:
        return {name: [found for found in self._rounds.found if found.arm == name] for name in self._arms}

    def _held(self, name: str) -> Held | None:
        compares = name in self._services and name != self.task.baseline
        return self._ledger.held(name) if compares else None

    def _why_missing(self, rounds: Sequence[ArmRound], name: str) -> str | None:
        lost = self._rounds.lost.get(name)
        return cells.why_missing(rounds, self._held(name)) if lost is None else f"lost under load: {lost}"

    async def _trips(self, name: str, reasons: dict[str, str | None]) -> float | None:
        if reasons[name] is not None or name not in self._services:
            return None
        try:
            return await round_trips(self._arms[name], self._sources[name])
        except httpx2.TransportError as error:
            reasons[name] = f"lost after the load: {error or type(error).__name__}"
            return None

    def _ratio(
        self, rounds: Mapping[str, Sequence[ArmRound]], baseline: str, name: str, between: float | None
    ) -> Ratio | None:
        if name == baseline or name not in rounds or baseline not in rounds:
            return None
        turns = cells.by_turn(rounds[name], rounds[baseline])
        found = statistics.ratio(np.concatenate(turns), confidence=self._confidence) if turns else None
        return found and statistics.widened(found, turns, between, self._confidence)

    def _figures(
        self,
        fit: Mapping[str, Sequence[ArmRound]],
        name: str,
        trips: float | None,
        noise: Comparison | None,
        between: float | None,
    ) -> Cell:
        ratio = self._ratio(fit, self.task.baseline, name, between)
        return cells.figures(
            self.task.scenario.name,
            name,
            fit[name],
            self._held(name),
            trips=trips,
            comparison=cells.compared(ratio, _noise_floor(noise)),
            doubts=self._doubts(fit, name, ratio, noise),
        )

    def _doubts(
        self,
        fit: Mapping[str, Sequence[ArmRound]],
        name: str,
        ratio: Ratio | None,
        noise: Comparison | None,
    ) -> list[Doubt]:
        baseline = self.task.baseline
        is_service = name in self._services
        logs = None
        if is_service and name != baseline and baseline in fit:
            logs = cells.paired(fit[name], fit[baseline])
        own = doubts_of(fit[name], logs, ratio, self.task.plan.precision, cold=name in self._rounds.cold)
        common = {
            Doubt.THROTTLED: throttled(fit),
            Doubt.TWINS_APART: is_service and noise is not None and noise.verdict in ("better", "worse"),
        }
        return [*own, *(doubt for doubt, holds in common.items() if holds)]


async def run(
    scenario: Scenario,
    contestants: Sequence[Contestant],
    baseline: str,
    twins: tuple[str, str] | None,
    plan: Plan,
    on_round: Callable[[int], None],
) -> Found:
    """Measures one scenario by itself, in one turn."""
    campaign = Campaign(Task(scenario, contestants, baseline, twins, plan))
    await campaign.turn(plan.seconds, on_round)
    return await campaign.found()


def missing(scenario: Scenario, arm: str, reason: str) -> Cell:
    return Cell(arm=arm, scenario=scenario.name, missing=reason)


async def round_trips(contestant: Contestant, source: Source) -> float | None:
    """The mean of `Server-Timing`'s count over the source's next `PROBES` requests, one at a time; every
    connection has prepared its statements by then."""
    counts: list[int] = []
    async with httpx2.AsyncClient(base_url=contestant.url, trust_env=False, timeout=30) as client:
        for _ in range(PROBES):
            asked = source()
            wire, learn = (asked.wire, asked.on_answer) if isinstance(asked, Asked) else (asked, None)
            method, path, headers, body = _parsed(wire)
            answer = await client.request(method, path, headers=headers, content=body)
            if learn is not None:
                learn(answer.status_code, _head(answer), answer.content)
            timing = answer.headers.get("server-timing")
            if answer.is_success and timing is not None and (told := _TRIPS(timing)) is not None:
                counts.append(int(told[1]))
    return float(np.mean(counts)) if counts else None


def _parsed(wire: bytes) -> tuple[str, str, dict[str, str], bytes]:
    head, _, body = wire.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return method, path, {name: text for name, text in headers.items() if name != "content-length"}, body


def _head(answer: httpx2.Response) -> bytes:
    lines = [b"%s: %s" % (name, text) for name, text in answer.headers.raw]
    return b"\r\n".join([b"HTTP/1.1 %d" % answer.status_code, *lines])


def _noise_floor(noise: Comparison | None) -> float:
    if noise is None:
        return statistics.noise_floor(None)
    interval = noise.ratio
    return statistics.noise_floor(Ratio(interval.value, interval.low, interval.high, noise.rounds))


def seeded(seed: int, scenario: Scenario) -> int:
    """A seed of the scenario's own, so that leaving one out changes no other."""
    return random.Random(f"{seed} {scenario.name}").getrandbits(32)
