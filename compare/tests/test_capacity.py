"""The search for the capacity: with a truth that is known, and on real servers that refuse beyond a rate."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import groupby, repeat
from random import Random
from typing import Any

import pytest
import uvicorn

from assay.measure import open_loop
from assay.measure.campaign import Contestant
from assay.measure.capacity import NARROW, Search, capacities
from assay.measure.dataset import Rows
from assay.measure.rounds import Arm
from assay.measure.scenarios import Scenario, Target
from assay.report.figures import Capacity

pytestmark = pytest.mark.measures

Send = Callable[[dict[str, Any]], Awaitable[None]]
BURST = 300
"""More than comes at once after a pause of the machine; a step of a second so sees an overload of 20 %."""


@pytest.mark.parametrize("truth", [3.0, 95.0, 100.0, 140.0, 2_000.0])
def test_the_bracket_closes_around_the_truth_and_is_confirmed(truth: float) -> None:
    search, steps = Search(100.0), 0
    while (rate := search.rate()) is not None:
        search.saw(rate, kept=rate <= truth)
        steps += 1
    assert search.low is not None
    assert search.high is not None
    assert search.low <= truth < search.high <= search.low * NARROW
    assert steps <= 8 + abs(math.log(truth / 100, 1.5))


def test_an_end_that_does_not_come_out_again_moves_the_bracket() -> None:
    search = Search(100.0)
    search.saw(100.0, kept=True)
    search.saw(108.0, kept=False)
    assert search.rate() == 100.0
    search.saw(100.0, kept=False)
    assert (search.low, search.high) == (None, 100.0)
    assert search.rate() == pytest.approx(100 / 1.5)
    search.saw(95.0, kept=True)
    search.saw(100.0, kept=True)
    assert (search.low, search.high) == (100.0, 108.0)
    search.saw(108.0, kept=True)
    assert (search.low, search.high) == (108.0, None)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the machine does, no turn is void: that is not what the case is about."""
    monkeypatch.setattr(open_loop, "MOST_LAG", 10.0)
    monkeypatch.setattr(open_loop, "MOST_LAG_SECONDS", 10.0)


def requests(target: Target, _chance: Random) -> Iterator[bytes]:
    return repeat(target.get("/thing"))


SCENARIO = Scenario("thing.get", "A thing", "users.get", ("USR-3",), requests)


def contestant(name: str, port: int) -> Contestant:
    target = Target(f"127.0.0.1:{port}", Rows([], []), 0)
    return Contestant(name, Arm(name, "127.0.0.1", port, None, None), target, is_floor=False)


@asynccontextmanager
async def serving(name: str, per_second: float, heard: list[str]) -> AsyncGenerator[Contestant]:
    """Refuses with 503 what comes faster than `per_second`, but for a burst."""
    tokens, then = float(BURST), time.monotonic()

    async def app(_scope: dict[str, Any], _receive: object, send: Send) -> None:
        nonlocal tokens, then
        heard.append(name)
        now = time.monotonic()
        tokens, then = min(BURST, tokens + (now - then) * per_second), now
        status, tokens = (200, tokens - 1) if tokens >= 1 else (503, tokens)
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


@pytest.mark.usefixtures("patient")
async def test_arms_of_known_capacity_are_found_in_turns() -> None:
    heard: list[str] = []
    told: list[None] = []
    truths = (1_500, 1_200)
    for _ in range(6):
        heard.clear()
        told.clear()
        async with serving("one", truths[0], heard) as one, serving("other", truths[1], heard) as other:
            found = await capacities(
                SCENARIO, [one, other], 13, target_ms=2_000, seed=3, on_step=lambda: told.append(None)
            )
        # who stands still meanwhile can do less
        if all(map(_found, found, truths)):
            break
    else:
        pytest.fail(f"searched for {truths}, found {found}")
    for capacity in found:
        assert capacity.missing is None
        assert all(step.samples >= 1_000 for step in capacity.steps)
    assert len(told) == sum(len(capacity.steps) for capacity in found)
    assert len(list(groupby(heard))) >= 6


def _found(capacity: Capacity, truth: float) -> bool:
    found = capacity.per_second
    return found is not None and found.low <= truth * 1.3 and truth * 0.9 <= found.high <= found.low * 1.5


async def test_without_time_or_without_an_arm_the_capacity_is_missing() -> None:
    async with serving("one", 40, []) as one:
        found = await capacities(
            SCENARIO, [one, contestant("dead", 1)], 4, target_ms=50, seed=3, on_step=pytest.fail
        )
    hurried, dead = found
    assert hurried.missing is not None
    assert hurried.missing.startswith("a step takes")
    assert dead.missing is not None
    assert dead.missing.startswith("no connection to")
    assert [capacity.per_second for capacity in found] == [None, None]
