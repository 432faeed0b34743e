"""What a slower way to the database costs: measured behind a relay, beside what the round trips predict.

One request at a time, a pause before each: it waits for its round trips and for nothing else. Without the
pause caches would be warm at no delay, where requests follow each other fast, and cold at a long one: a
difference that is no round trip's.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import numpy as np
from pymongo import AsyncMongoClient

from assay.measure import campaign, histogram, open_loop, statistics
from assay.measure.accounting import CpuMeter
from assay.measure.campaign import Contestant
from assay.measure.connection import LoadError, Source
from assay.measure.dataset import Rows, period_of
from assay.measure.lane import Arm as LoadArm
from assay.measure.load import Loader
from assay.measure.rounds import balanced_orders
from assay.measure.samples import Samples, merged
from assay.measure.scenarios import Scenario, Target
from assay.report.figures import Delay, Percentile
from assay.report.part import Interval
from assay.stand import DatabaseKind, Stand
from assay.stand.parallel import all_or_none
from assay.stand.relay_process import Orders, RelayProcess, start_relay
from shared.registry import Service

LAST_LANE = 5
"""The arms behind relays have the last lane of their databases in which busy owners have documents: each
database has one of them, and other arms come to that lane only when there are as many."""

ROUNDS = 6
LEAST_REQUESTS = 4
"""In each slice, however short it should be: with all rounds enough for a median."""
PAUSE_SECONDS = 0.005
WARM_UP_SECONDS = 0.3

_CONNECT_SECONDS = 5.0
_TOO_FEW = "too few requests for a median: give it more time"

Echo = Callable[[], Awaitable[object]]


@dataclass
class _Arm:
    """A service behind a relay. `echoes_ns` are round trips of our own, by delay in ms; `broken` says why the
    arm is out."""

    contestant: Contestant
    relay: RelayProcess
    echo: Echo
    cpu: CpuMeter
    echoes_ns: dict[float, list[int]] = field(default_factory=dict)
    broken: str | None = None

    def added_ms(self, asked_ms: float) -> float | None:
        if not (self.echoes_ns.get(0.0) and self.echoes_ns.get(asked_ms)):
            return None
        return (median(self.echoes_ns[asked_ms]) - median(self.echoes_ns[0.0])) / 1e6


@dataclass
class _Lane:
    """An arm in a scenario; slices by delay in ms, service CPU in µs for each answer."""

    arm: _Arm
    scenario: Scenario
    loader: Loader
    source: Source
    round_trips: float | None = None
    slices: dict[float, list[Samples]] = field(default_factory=dict)
    cpu_us: dict[float, list[float]] = field(default_factory=dict)

    async def warm_up(self) -> None:
        await self.loader.closed(self.source, WARM_UP_SECONDS)
        self.round_trips = await campaign.round_trips(self.arm.contestant, self.source)

    async def slice(self, asked_ms: float, seconds: float) -> None:
        """Each request with a trivial statement beside it, for what the relay adds at this very time."""
        seen: list[Samples] = []
        before_ns, ends = self.arm.cpu.cpu_ns(), time.monotonic() + seconds
        while len(seen) < LEAST_REQUESTS or time.monotonic() < ends:
            await asyncio.sleep(PAUSE_SECONDS)
            seen.append(await self.loader.closed(self.source, 0.0))
            began_ns = time.perf_counter_ns()
            await self.arm.echo()
            self.arm.echoes_ns.setdefault(asked_ms, []).append(time.perf_counter_ns() - began_ns)
        used_ns, whole = self.arm.cpu.cpu_ns() - before_ns, merged(seen)
        self.slices.setdefault(asked_ms, []).append(whole)
        if whole.answers:
            self.cpu_us.setdefault(asked_ms, []).append(used_ns / 1_000 / whole.answers)


def steps(scenarios: Sequence[Scenario]) -> int:
    """How often `delays` reports."""
    return len(scenarios) * ROUNDS


async def delays(
    scenarios: Sequence[Scenario],
    stand: Stand,
    services: Sequence[Service],
    rows: Mapping[str, Rows],
    asked_ms: Sequence[float],
    seconds: float,
    *,
    seed: int,
    on_step: Callable[[], None],
) -> list[Delay]:
    """Every scenario on every service at every delay, and at none, in turns; takes about `seconds` once the
    services are up. Each runs once more for it, with its database behind a relay in a process of its own.

    The prediction is the median at no delay, through the same relay, and for each round trip what one was
    measured to take longer. It holds for round trips that follow each other: where a service runs statements
    at the same time, or has the next request wait for the end of this one, it says too much or too little.
    """
    levels = sorted({0.0, *asked_ms})
    found: list[Delay] = []
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        arms = await all_or_none(_enter(service, stand, rows[service.name], stack) for service in services)
        slices = len(scenarios) * ROUNDS * len(arms) * len(levels)
        slice_seconds = seconds / max(1, slices)
        measured = [
            await _measure(scenario, arms, levels, slice_seconds, chance, on_step) for scenario in scenarios
        ]
    for lanes in measured:
        found += [part for lane in lanes for part in _told(lane, levels)]
    return found


async def _enter(service: Service, stand: Stand, rows: Rows, stack: AsyncExitStack) -> _Arm:
    [(variable, url)] = stand.databases.url_for(service).items()
    relay = await start_relay(stand, f"{service.name}-way", url)
    stack.push_async_callback(relay.close)
    environment = {variable: relay.url, "SERVER_TIMING": "1", "DASHBOARD_TTL": "0"}
    running = await stand.start_service(service, name=f"{service.name}-far", environment=environment)
    stack.push_async_callback(running.stop)
    if service.name in stand.services:
        _bind(running.pid, stand.services[service.name].pid)
    echo = await stack.enter_async_context(_echo(service.database, relay.url))
    address = urlsplit(running.url)
    assert address.hostname is not None
    assert address.port is not None
    load = LoadArm(service.name, address.hostname, address.port, running.pid, None)
    target = Target(address.netloc, rows, _lane(rows))
    contestant = Contestant(service.name, load, target, is_floor=False)
    return _Arm(contestant, relay, echo, CpuMeter(running.pid))


def _lane(rows: Rows) -> int:
    lanes = len(rows.documents) // max(1, period_of(len(rows.documents)))
    return max(0, min(LAST_LANE, lanes - 1))


def _bind(pid: int, like: int) -> None:
    """To the cores of another process, with all threads: the same as without a relay."""
    if hasattr(os, "sched_setaffinity"):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), os.sched_getaffinity(like))


@asynccontextmanager
async def _echo(kind: DatabaseKind, url: str) -> AsyncGenerator[Echo]:
    """One round trip on an open connection."""
    if kind == "mongodb":
        async with AsyncMongoClient[dict[str, Any]](url) as client:
            yield partial(client.admin.command, "ping")
        return
    connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
    try:
        yield partial(connection.execute, "SELECT 1")
    finally:
        await connection.close(timeout=_CONNECT_SECONDS)


async def _measure(
    scenario: Scenario,
    arms: Sequence[_Arm],
    levels: Sequence[float],
    slice_seconds: float,
    chance: random.Random,
    on_step: Callable[[], None],
) -> list[_Lane]:
    seed = chance.getrandbits(32)
    orders = balanced_orders(len(arms), chance)
    async with AsyncExitStack() as stack:
        lanes = [await _opened(scenario, arm, seed, stack) for arm in arms]
        await _delayed(arms, 0.0)
        for lane in lanes:
            await _unless_broken(lane.arm, lane.warm_up)
        for _ in range(ROUNDS):
            for asked_ms in chance.sample(levels, len(levels)):
                await _delayed(arms, asked_ms)
                for place in next(orders):
                    turn = partial(lanes[place].slice, asked_ms, slice_seconds)
                    await _unless_broken(arms[place], turn)
            on_step()
    return lanes


async def _opened(scenario: Scenario, arm: _Arm, seed: int, stack: AsyncExitStack) -> _Lane:
    load = arm.contestant.load
    loader = Loader(load.host, load.port, connections=1)
    await _unless_broken(arm, partial(stack.enter_async_context, loader))
    return _Lane(arm, scenario, loader, scenario.source(arm.contestant.target, seed))


async def _delayed(arms: Sequence[_Arm], asked_ms: float) -> None:
    await all_or_none(arm.relay.order(Orders(delay_ms=asked_ms)) for arm in arms)


async def _unless_broken(arm: _Arm, work: Callable[[], Awaitable[object]]) -> None:
    """An arm that nobody answers for is out; the others go on."""
    if arm.broken is None:
        try:
            await work()
        except LoadError as error:
            arm.broken = str(error)


def _told(lane: _Lane, levels: Sequence[float]) -> Iterator[Delay]:
    base = _median(lane, 0.0)
    for asked_ms in levels:
        whole = merged(lane.slices.get(asked_ms, []))
        p50, added_ms = _median(lane, asked_ms), lane.arm.added_ms(asked_ms)
        missing = lane.arm.broken or _why_missing(whole, p50)
        named = {"arm": lane.arm.contestant.name, "scenario": lane.scenario.name, "asked_ms": asked_ms}
        if missing is not None:
            yield Delay(**named, missing=missing, requests=whole.sent)
            continue
        predicted = None
        if base is not None and lane.round_trips is not None and added_ms is not None:
            predicted = base.ms + lane.round_trips * added_ms
        yield Delay(
            **named,
            missing=None,
            added_ms=added_ms,
            requests=whole.sent,
            round_trips=lane.round_trips,
            p50_ms=p50,
            predicted_ms=predicted,
            service_cpu=_interval(lane.cpu_us.get(asked_ms, [])),
        )


def _why_missing(whole: Samples, p50: Percentile | None) -> str | None:
    if open_loop.failed(whole) * 100 >= max(1, whole.sent):
        return open_loop.failures(whole)
    return _TOO_FEW if p50 is None else None


def _median(lane: _Lane, asked_ms: float) -> Percentile | None:
    whole = merged(lane.slices.get(asked_ms, []))
    told = histogram.percentiles(whole.latencies_ns)
    return next((one for one in told if one.percentile == 50.0), None)


def _interval(values: Sequence[float]) -> Interval | None:
    found = statistics.ratio(np.log(values)) if values else None
    return None if found is None else Interval(value=found.ratio, low=found.low, high=found.high)
