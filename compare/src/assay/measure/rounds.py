"""Interleaved rounds: every arm several short slices in each, in an order that favours none."""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

from assay.measure.accounting import CpuMeter
from assay.measure.connection import LoadError, Source
from assay.measure.load import Loader
from assay.measure.pacing import Schedule, constant_schedule, poisson_schedule
from assay.measure.samples import SampledAnswer, Samples, merged


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
    """How to measure. `arrivals` None is the closed loop; times are in seconds. After `least_rounds` no round
    begins once `seconds` have passed: slices of slow requests take longer than planned."""

    rounds: int = 10
    least_rounds: int = 5
    seconds: float = math.inf
    slices: int = 4
    slice_seconds: float = 0.15
    warm_up_seconds: float = 0.5
    connections: int = 16
    arrivals: Arrivals | None = None
    sample_every: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class ArmRound:
    """What one arm did in one round; its slices are merged.

    CPU is that used between a slice's first request and its last answer, by the service and by the whole
    database server, while all other arms were idle. Work that a server puts off (checkpoints, vacuum) falls
    into whichever slice it happens in: the balanced order spreads it over the arms.
    """

    arm: str
    round: int
    samples: Samples
    service_cpu_ns: int | None
    database_cpu_ns: int | None

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


def balanced_orders(arms: int, rng: random.Random) -> Iterator[list[int]]:
    """Orders of the arms without end: in each block every arm stands in each place equally often, and follows
    each other arm equally often. A block has `arms` orders, twice that for an odd number.

    Source: E. J. Williams, Experimental designs balanced for the estimation of residual effects of
    treatments, Australian Journal of Scientific Research A 2 (1949). Names and rows are shuffled anew in each
    block.

    >>> orders = balanced_orders(4, random.Random(1))
    >>> sorted(sorted(place) for place in zip(*[next(orders) for _ in range(4)]))
    [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    """
    zigzag = [(step + 1) // 2 if step % 2 else (arms - step // 2) % arms for step in range(arms)]
    rows = [[(start + place) % arms for place in zigzag] for start in range(arms)]
    if arms % 2:
        rows += [row[::-1] for row in rows]
    while True:
        names = rng.sample(range(arms), arms)
        for row in rng.sample(rows, len(rows)):
            yield [names[place] for place in row]


class _Lane:
    """An arm with its connections, its meters and its place in the request source."""

    def __init__(self, arm: Arm, source: Source, loader: Loader, plan: Plan) -> None:
        self.arm = arm
        self._source = source
        self._loader = loader
        self._plan = plan
        self._sent = 0
        self._service = None if arm.service_pid is None else CpuMeter(arm.service_pid)
        self._database = None if arm.database_pid is None else CpuMeter(arm.database_pid)
        self._slices: list[Samples] = []
        self._kept: list[SampledAnswer] = []
        self._service_ns = 0
        self._database_ns = 0

    async def warm_up(self) -> None:
        seen = await self._loader.closed(
            self._source, self._plan.warm_up_seconds, sample_every=self._plan.sample_every
        )
        self._sent += seen.sent
        # slow arms never get to where fast ones begin their slices: the first requests are common to all
        self._kept = seen.sampled
        if not seen.answers:
            raise LoadError(f"{self.arm.name} answered nothing while it was warmed up: {dict(seen.errors)}")

    async def slice(self, seed: int) -> None:
        service_ns, database_ns = _reading(self._service), _reading(self._database)
        seen = await self._load(seed)
        self._service_ns += _reading(self._service) - service_ns
        self._database_ns += _reading(self._database) - database_ns
        self._sent += seen.sent
        self._slices.append(seen)

    async def _load(self, seed: int) -> Samples:
        plan = self._plan
        if plan.arrivals is None:
            return await self._loader.closed(
                self._source, plan.slice_seconds, sample_every=plan.sample_every, first_index=self._sent
            )
        schedule = plan.arrivals.schedule(plan.slice_seconds, seed)
        return await self._loader.scheduled(
            self._source, schedule, sample_every=plan.sample_every, first_index=self._sent
        )

    def end_round(self, number: int) -> ArmRound:
        service_ns = None if self._service is None else self._service_ns
        database_ns = None if self._database is None else self._database_ns
        samples = merged(self._slices)
        samples.sampled[:0] = self._kept
        ended = ArmRound(self.arm.name, number, samples, service_ns, database_ns)
        self._kept = []
        self._slices, self._service_ns, self._database_ns = [], 0, 0
        return ended


def _reading(meter: CpuMeter | None) -> int:
    return 0 if meter is None else meter.cpu_ns()


async def measure_rounds(
    arms: Sequence[Arm],
    requests: Callable[[Arm], Source],
    plan: Plan,
    on_round: Callable[[int], None] = lambda _number: None,
) -> list[ArmRound]:
    """Measures one scenario on all arms; `requests` gives each arm its source, `on_round` hears of progress.

    All arms warm up first. The arms stand in each place of the order equally often where rounds x slices is a
    multiple of the block of `balanced_orders`, else as nearly as can be. In an open loop every arm of a turn
    gets the same schedule.
    """
    rng = random.Random(plan.seed)
    orders = balanced_orders(len(arms), rng)
    found: list[ArmRound] = []
    async with AsyncExitStack() as stack:
        lanes: list[_Lane] = []
        for arm in arms:
            loader = await stack.enter_async_context(Loader(arm.host, arm.port, plan.connections))
            lanes.append(_Lane(arm, requests(arm), loader, plan))
        for lane in lanes:
            await lane.warm_up()
        started = time.monotonic()
        for number in range(plan.rounds):
            if number >= plan.least_rounds and time.monotonic() - started > plan.seconds:
                break
            for _ in range(plan.slices):
                seed = rng.getrandbits(32)
                for place in next(orders):
                    await lanes[place].slice(seed)
            found += [lane.end_round(number) for lane in lanes]
            on_round(number)
    return found
