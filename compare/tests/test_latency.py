"""Latency in an open loop on real servers: equal arrivals, failures, stalls, a generator that is held up."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import repeat
from random import Random
from typing import Any

import pytest
import uvicorn
from hdrh.histogram import HdrHistogram

from assay.measure import open_loop
from assay.measure.campaign import Contestant
from assay.measure.dataset import Rows
from assay.measure.lane import Arrivals
from assay.measure.latency import MOST_PER_SECOND, latencies
from assay.measure.open_loop import failed, failures, late, saturated, waited
from assay.measure.pacing import Schedule
from assay.measure.rounds import Arm
from assay.measure.samples import Samples
from assay.measure.scenarios import Scenario, Target
from assay.report.figures import Latency

pytestmark = pytest.mark.measures

Send = Callable[[dict[str, Any]], Awaitable[None]]
Status = Callable[[int], Awaitable[int]]
"""What becomes of an arm's n-th request, from 1."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the machine does, no turn is void: that is not what the case is about."""
    monkeypatch.setattr(open_loop, "MOST_LAG", 10.0)
    monkeypatch.setattr(open_loop, "MOST_LAG_SECONDS", 10.0)


def requests(target: Target, _chance: Random) -> Iterator[bytes]:
    return repeat(target.get("/thing"))


SCENARIO = Scenario("thing.get", "A thing", "users.get", ("USR-3",), requests, connections=4)


def contestant(name: str, port: int) -> Contestant:
    target = Target(f"127.0.0.1:{port}", Rows([], []), 0)
    return Contestant(name, Arm(name, "127.0.0.1", port, None, None), target, is_floor=False)


async def well(_number: int) -> int:
    return 200


@asynccontextmanager
async def serving(name: str, status_of: Status = well) -> AsyncGenerator[Contestant]:
    asked = 0

    async def app(_scope: dict[str, Any], _receive: object, send: Send) -> None:
        nonlocal asked
        asked += 1
        status = await status_of(asked)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield contestant(name, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await running


async def measured(*arms: Contestant, per_second: float | None = 100.0) -> list[Latency]:
    heard: list[None] = []
    found = await latencies(
        SCENARIO,
        arms,
        0.0,
        per_second=per_second,
        arrivals="poisson",
        seed=1,
        on_slice=lambda: heard.append(None),
    )
    assert len(heard) == len(arms)
    return found


@pytest.mark.usefixtures("patient")
async def test_arms_get_the_same_arrivals_and_figures_that_they_carry() -> None:
    async with serving("one") as one, serving("other") as other:
        found = await measured(one, other, per_second=200)
    assert [latency.missing for latency in found] == [None, None]
    assert found[0].samples == found[1].samples > 100
    for latency in found:
        assert (latency.arm, latency.per_second, latency.errors) in {("one", 200, 0), ("other", 200, 0)}
        assert [told.percentile for told in latency.percentiles] == [50, 90]
        assert latency.curve[-1] == (90, latency.percentiles[-1].ms)
        assert latency.max_ms is not None
        assert latency.max_ms >= latency.percentiles[-1].ms
        assert latency.histogram is not None
        assert HdrHistogram.decode(latency.histogram).get_total_count() == latency.samples


async def test_the_slowest_arm_gives_the_rate() -> None:
    lock = asyncio.Lock()

    async def one_at_a_time(_number: int) -> int:
        async with lock:
            await asyncio.sleep(0.01)
        return 200

    async with serving("quick") as quick, serving("slow", one_at_a_time) as slow:
        found = await measured(quick, slow, per_second=None)
    assert 0 < found[0].per_second == found[1].per_second <= 50 < MOST_PER_SECOND


@pytest.mark.usefixtures("patient")
async def test_a_stall_shows_in_all_that_was_due_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    begins = math.inf
    schedule = Arrivals.schedule

    def stalled(arrivals: Arrivals, seconds: float, seed: int) -> Schedule:
        nonlocal begins
        begins = time.monotonic() + 0.3
        return schedule(arrivals, seconds, seed)

    async def stall(_number: int) -> int:
        if begins < time.monotonic() < begins + 0.5:
            await asyncio.sleep(begins + 0.5 - time.monotonic())
        return 200

    monkeypatch.setattr(Arrivals, "schedule", stalled)
    async with serving("one", stall) as one:
        found = await measured(one)
    assert found[0].max_ms is not None
    assert found[0].max_ms > 300
    assert found[0].percentiles[-1].ms > 200


@pytest.mark.usefixtures("patient")
async def test_an_arm_of_which_requests_fail_gets_no_figure_but_its_counts() -> None:
    async def every_twentieth(number: int) -> int:
        return 200 if number % 20 else 500

    async with serving("one", every_twentieth) as one:
        found = await measured(one)
    assert found[0].missing == f"{found[0].errors} of {found[0].samples} requests failed: " + (
        f"{found[0].samples - found[0].errors} × 200, {found[0].errors} × 500"
    )
    assert found[0].errors >= 2
    assert (found[0].percentiles, found[0].curve, found[0].max_ms, found[0].histogram) == ([], [], None, None)


@pytest.mark.usefixtures("patient")
async def test_an_arm_that_is_not_there_takes_no_other_with_it() -> None:
    async def refuse(_number: int) -> int:
        return 503

    async with serving("one") as one, serving("closed", refuse) as closed:
        found = await measured(contestant("dead", 1), one, closed)
    dead, lively, refusing = found
    assert dead.missing is not None
    assert dead.missing.startswith("no connection to 127.0.0.1:1")
    assert lively.missing is None
    assert refusing.missing is not None
    assert "× 503" in refusing.missing


@pytest.mark.parametrize("per_second", [None, 100.0])
async def test_where_no_arm_answers_all_are_missing(per_second: float | None) -> None:
    dead = [contestant("dead", 1), contestant("gone", 1)]
    found = await latencies(
        SCENARIO, dead, 5, per_second=per_second, arrivals="constant", seed=1, on_slice=pytest.fail
    )
    assert all(latency.missing is not None for latency in found)


async def test_a_generator_that_is_held_up_voids_the_slices() -> None:
    async def hold_up() -> None:
        while True:
            await asyncio.sleep(0.1)
            time.sleep(0.03)  # the generator's own loop

    async with serving("one") as one:
        holding = asyncio.create_task(hold_up())
        found = await measured(one)
        holding.cancel()
    assert found[0].missing == "the load generator could not keep up in 3 of 3 slices"
    assert found[0].percentiles == []


def test_a_turn_is_void_where_the_generator_was_busy_or_late() -> None:
    assert saturated(Samples(elapsed_ns=1_000, generator_cpu_ns=950))
    assert not saturated(Samples(elapsed_ns=1_000, generator_cpu_ns=850))
    assert late(Samples(lag_ns=11_000_000), 1.0)
    assert not late(Samples(lag_ns=9_000_000), 1.0)
    assert late(Samples(lag_ns=21_000_000), 60.0)


def test_a_request_without_an_answer_counts_as_long_as_it_was_waited_for() -> None:
    seen = Samples(sent=4)
    seen.latencies_ns.extend([1, 2])
    seen.statuses.update({200: 1, 404: 1})
    seen.errors.update({"timeout": 1, "refused": 1})
    assert waited(seen).tolist() == [1, 2, 10_000_000_000, 10_000_000_000]
    assert failed(seen) == 3
    assert failures(seen) == "3 of 4 requests failed: 1 × timeout, 1 × refused, 1 × 200, 1 × 404"
