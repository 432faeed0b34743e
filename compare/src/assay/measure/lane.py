"""One arm in one scenario: its connections, its meters, its place in the request source."""

import math
import time
from array import array
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from assay.measure.accounting import CpuMeter
from assay.measure.connection import LoadError, Source
from assay.measure.load import Loader
from assay.measure.pacing import Schedule, constant_schedule, poisson_schedule
from assay.measure.samples import SampledAnswer, Samples, merged

LEAST_ROUNDS = 15
"""Fewer say too little of how far rounds differ: intervals that look narrow by chance would end too early."""

GENERATOR_LIMIT = 0.9
"""Share of a core above which it may be the generator that was measured: such a slice is void."""

FIRST_ALL = 400
"""So many requests of a source are sampled one and all: an arm that answers 1 in 100 otherwise is then found
out 98 times of 100, however slow the operation."""

_STEADY_SLICES = 3
_STEADY = 1.1


@dataclass(frozen=True, slots=True)
class Arm:
    """One running server; a pid is None where its CPU cannot be read (another machine, a container)."""

    name: str
    host: str
    port: int
    service_pid: int | None
    database_pid: int | None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """An open loop: requests at a rate fixed in advance, whatever the server does."""

    per_second: float
    kind: Literal["constant", "poisson"] = "constant"

    def schedule(self, seconds: float, seed: int) -> Schedule:
        if self.kind == "poisson":
            return poisson_schedule(self.per_second, seconds, seed)
        return constant_schedule(self.per_second, seconds)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure. `arrivals` None is the closed loop; times are in seconds.

    `rounds` are the most of one measurement. After `least_rounds` none begins once `seconds` have passed:
    slices of slow requests take longer than planned. `precision` is the half-width of a ratio's interval
    from which on more rounds are not worth their time; None goes on. `warm_up_seconds` are the most that an
    arm gets until its cost is steady. `think_ms` is how long a connection of the closed loop waits after each
    answer. One answer in `sample_every` is kept (0: none), and all of the first.
    """

    rounds: int = 10
    least_rounds: int = LEAST_ROUNDS
    seconds: float = math.inf
    precision: float | None = None
    slices: int = 4
    slice_seconds: float = 0.15
    warm_up_seconds: float = 2.0
    connections: int = 16
    think_ms: float = 0.0
    arrivals: Arrivals | None = None
    sample_every: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class ArmRound:
    """What one arm did in one round; its slices are merged.

    CPU is that used between a slice's first request and its last answer, by the service and by the whole
    database server, while all other arms were idle. Work that a server puts off (checkpoints, vacuum) falls
    into whichever slice it happens in: the balanced order spreads it over the arms. Of `slices`, those are
    `void` in which the generator was near its limit: their requests and errors count, their times and CPU do
    not. `turn` counts the times that the scenario was taken up, minutes apart, from 0.
    """

    arm: str
    round: int
    samples: Samples
    service_cpu_ns: int | None
    database_cpu_ns: int | None
    slices: int = 1
    void: int = 0
    turn: int = 0

    @property
    def service_cpu_us(self) -> float | None:
        """µs for each answer; None where unknown or nothing was answered."""
        return self._per_answer_us(self.service_cpu_ns)

    @property
    def database_cpu_us(self) -> float | None:
        return self._per_answer_us(self.database_cpu_ns)

    def _per_answer_us(self, cpu_ns: int | None) -> float | None:
        if cpu_ns is None or not self.samples.answers:
            return None
        return cpu_ns / 1_000 / self.samples.answers


def steady(costs: Sequence[float]) -> bool:
    """Whether the last three are no more than 10 % cheaper than the three before, by their medians: a noisy
    machine makes single slices differ by more.

    >>> steady([9.0, 9.0, 8.0, 5.0, 5.2, 6.9]), steady([9.0, 5.1, 5.2, 5.0, 5.3, 4.9]), steady([5.0, 5.0])
    (False, True, False)
    """
    last, before = costs[-_STEADY_SLICES:], costs[-2 * _STEADY_SLICES : -_STEADY_SLICES]
    return len(before) == _STEADY_SLICES and median(before) <= _STEADY * median(last)


class Lane:
    """`warm` says whether its cost was steady when its warm-up ended; `lost` why it cannot be measured any
    further, None where it can."""

    def __init__(self, arm: Arm, source: Source, plan: Plan) -> None:
        self.arm = arm
        self.warm: bool | None = None
        self.lost: str | None = None
        self._source = source
        self._plan = plan
        self._loader: Loader
        self._sent = 0
        self._service: CpuMeter | None = None
        self._database: CpuMeter | None = None
        self._slices: list[Samples] = []
        self._kept: list[SampledAnswer] = []
        self._void = 0
        self._service_ns = 0
        self._database_ns = 0

    async def open(self, stack: AsyncExitStack) -> None:
        """Its connections, until the stack is left; then it may be opened again."""
        self._service = None if self.arm.service_pid is None else CpuMeter(self.arm.service_pid)
        self._database = None if self.arm.database_pid is None else CpuMeter(self.arm.database_pid)
        loader = Loader(self.arm.host, self.arm.port, self._plan.connections)
        self._loader = await stack.enter_async_context(loader)

    async def warm_up(self) -> None:
        """Until slices cost alike, the first time; later, one slice for the new connections."""
        costs: list[float] = []
        ending = time.monotonic() + self._plan.warm_up_seconds
        while True:
            before_ns = _reading(self._service)
            seen = await self._closed()
            # slow arms never get to where fast ones begin their slices: the first requests are common to all
            self._kept += seen.sampled
            if self.warm is not None:
                return
            spent_ns = seen.elapsed_ns if self._service is None else _reading(self._service) - before_ns
            costs.append(spent_ns / seen.answers)
            if steady(costs) or time.monotonic() >= ending:
                self.warm = steady(costs)
                return

    async def slice(self, seed: int) -> None:
        service_ns, database_ns = _reading(self._service), _reading(self._database)
        seen = await (self._closed() if self._plan.arrivals is None else self._scheduled(seed))
        if seen.generator_share > GENERATOR_LIMIT:
            self._void += 1
            self._slices.append(replace(seen, latencies_ns=array("q"), elapsed_ns=0, generator_cpu_ns=0))
            return
        self._service_ns += _reading(self._service) - service_ns
        self._database_ns += _reading(self._database) - database_ns
        self._slices.append(seen)

    async def _closed(self) -> Samples:
        seen = await self._loader.closed(
            self._source,
            self._plan.slice_seconds,
            sample_every=self._sample_every,
            first_index=self._sent,
            think_ns=int(self._plan.think_ms * 1e6),
        )
        return self._counted(seen)

    async def _scheduled(self, seed: int) -> Samples:
        assert self._plan.arrivals is not None
        schedule = self._plan.arrivals.schedule(self._plan.slice_seconds, seed)
        seen = await self._loader.scheduled(
            self._source, schedule, sample_every=self._sample_every, first_index=self._sent
        )
        return self._counted(seen)

    @property
    def _sample_every(self) -> int:
        return min(1, self._plan.sample_every) if self._sent < FIRST_ALL else self._plan.sample_every

    def _counted(self, seen: Samples) -> Samples:
        self._sent += seen.sent
        if seen.sent and not seen.answers:
            raise LoadError(f"{self.arm.name} answered nothing: {dict(seen.errors)}")
        return seen

    def end_round(self, number: int, turn: int) -> ArmRound:
        samples = merged(self._slices)
        samples.sampled[:0] = self._kept
        ended = ArmRound(
            self.arm.name,
            number,
            samples,
            None if self._service is None else self._service_ns,
            None if self._database is None else self._database_ns,
            len(self._slices),
            self._void,
            turn,
        )
        self._kept = []
        self._slices, self._service_ns, self._database_ns, self._void = [], 0, 0, 0
        return ended


def _reading(meter: CpuMeter | None) -> int:
    return 0 if meter is None else meter.cpu_ns()
