"""A scenario on real servers: equal arms get figures, an arm that answers otherwise or fails gets none."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import repeat
from random import Random
from typing import Any

import pytest
import uvicorn

from assay.measure import campaign
from assay.measure.campaign import Contestant, Found
from assay.measure.dataset import Rows
from assay.measure.rounds import Arm, Plan
from assay.measure.scenarios import SCENARIOS, Scenario, Target
from assay.report.model import Doubt

Send = Callable[[dict[str, Any]], Awaitable[None]]

PLAN = Plan(rounds=3, slices=1, slice_seconds=0.05, warm_up_seconds=0.05, sample_every=3)


def requests(target: Target, _chance: Random) -> Iterator[bytes]:
    return repeat(target.get("/thing"))


SCENARIO = Scenario("thing.get", "A thing", "users.get", ("USR-3",), requests, connections=2)


@asynccontextmanager
async def serving(name: str, body: bytes, failing_every: int = 0) -> AsyncGenerator[Contestant]:
    """An arm that answers each request with the body, but each `failing_every`th with 500."""
    asked = 0

    async def app(_scope: dict[str, Any], _receive: object, send: Send) -> None:
        nonlocal asked
        asked += 1
        status = 500 if failing_every and asked % failing_every == 0 else 200
        headers = [
            (b"content-length", b"%d" % len(body)),
            (b"server-timing", b'app;dur=1, db;dur=1;desc="2"'),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    target = Target(f"127.0.0.1:{port}", Rows([], []), 0)
    try:
        yield Contestant(name, Arm(name, "127.0.0.1", port, None, None), target, is_floor=False)
    finally:
        server.should_exit = True
        await running


async def measured(*arms: Contestant) -> Found:
    return await campaign.run(SCENARIO, arms, arms[0].name, None, PLAN, lambda _number: None)


async def test_arms_that_answer_alike_get_figures_and_their_round_trips() -> None:
    async with serving("one", b'{"a":1}') as one, serving("other", b'{"a":1.0}') as other:
        found = await measured(one, other)
    assert [cell.missing for cell in found.cells] == [None, None]
    assert [cell.round_trips for cell in found.cells] == [2.0, 2.0]
    assert all(cell.per_second is not None for cell in found.cells)


async def test_an_arm_that_answers_otherwise_gets_no_figure() -> None:
    async with serving("one", b'{"a":1}') as one, serving("other", b'{"a":2}') as other:
        found = await measured(one, other)
    baseline, cell = found.cells
    assert baseline.missing is None
    assert cell.missing is not None
    assert '{"a":2}' in cell.missing
    assert (cell.service_cpu, cell.per_second, cell.p50_ms, cell.against_baseline) == (None,) * 4


async def test_an_arm_of_which_requests_fail_gets_no_figure() -> None:
    async with serving("one", b"{}") as one, serving("other", b"{}", failing_every=20) as other:
        found = await measured(one, other)
    cell = found.cells[1]
    assert cell.errors > 0
    assert cell.missing is not None
    assert cell.per_second is None


async def test_without_a_process_to_read_cpu_is_missing_and_said_to_be() -> None:
    async with serving("one", b"{}") as one:
        found = await measured(one)
    assert found.cells[0].service_cpu is None
    assert Doubt.NO_CPU in found.doubts


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_arms_get_the_same_requests_but_for_ids_and_labels(scenario: Scenario) -> None:
    def first(lane: int) -> list[bytes]:
        rows = Rows(
            [f"u{number}" for number in range(10_000)], [f"d{number % 5_000}" for number in range(50_000)]
        )
        source = scenario.source(Target("host", rows, lane), seed=3)
        asked = (source() for _ in range(50))
        wires = (one if isinstance(one, bytes) else one.wire for one in asked)
        return [wire.replace(b"lane%d" % lane, b"lane") for wire in wires]

    assert first(0) == first(1)
