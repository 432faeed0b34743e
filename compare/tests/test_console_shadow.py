"""The secondary hears what the primary heard, and the client notices nothing of it."""

import asyncio
import time
from typing import Any

import httpx2
from console_processes import console, service

from assay.console.shadow import WAITING
from assay.stand.ports import HOST, free_port


def _client(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10)


async def _choose(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/shadowing", json={"primary": "old", "secondary": "new"})
    assert answer.status_code == 200


async def _state(client: httpx2.AsyncClient, name: str, least: int) -> dict[str, Any]:
    """When a count, or the sum of one by operation, is as large."""
    state: dict[str, Any] = {}
    for _ in range(100):
        state = (await client.get("/shadowing")).json()
        count = state[name]
        if (sum(count.values()) if isinstance(count, dict) else count) >= least:
            return state
        await asyncio.sleep(0.05)
    raise AssertionError(state)


async def test_the_client_gets_what_the_primary_answers_and_the_secondary_is_asked_for_its_own_row() -> None:
    async with service() as old, service() as new:
        async with console({"old": old.url, "new": new.url}) as page, _client(page.url) as client:
            await _choose(client)
            made = (await client.post("/shadow/things", json={"name": "a"})).json()
            await _state(client, "compared", 1)
            read = await client.get(f"/shadow/things/{made['id']}")
            state = await _state(client, "compared", 2)
            asked_old, asked_new = (await old.asked())["asked"], (await new.asked())["asked"]
    assert read.status_code == 200
    assert asked_old[1][:2] == ["GET", f"/things/{made['id']}"]
    assert asked_new[0] == ["POST", "/things", '{"name":"a"}']
    assert asked_new[1][1] != asked_old[1][1]
    assert state["compared"] == {"POST /things": 1, "GET /things/{id}": 1}
    assert state["different"] == {}


async def test_differences_are_counted_by_operation_and_can_be_taken_along() -> None:
    async with service(word="left") as old, service(word="right") as new:
        async with console({"old": old.url, "new": new.url}) as page, _client(page.url) as client:
            await _choose(client)
            assert (await client.get("/shadow/things")).json()["word"] == "left"
            state = await _state(client, "different", 1)
            kept = (await client.get("/shadowing/differences.jsonl")).text
    assert state["different"] == {"GET /things": 1}
    assert kept.count("\n") == 1
    assert '"place":"body.word","expected":"\'left\'","found":"\'right\'"' in kept


async def test_a_stalled_secondary_delays_no_client_and_what_does_not_fit_the_queue_is_counted() -> None:
    async with service() as old, service(stall=30) as new:
        async with console({"old": old.url, "new": new.url}) as page, _client(page.url) as client:
            await _choose(client)
            slowest = 0.0
            for _ in range(WAITING + 20):
                begun = time.monotonic()
                assert (await client.get("/shadow/things")).status_code == 200
                slowest = max(slowest, time.monotonic() - begun)
            state = await _state(client, "dropped", 1)
    assert slowest < 2
    assert state["waiting"] <= WAITING
    assert state["dropped"] >= 19


async def test_a_dead_secondary_is_counted_and_a_dead_primary_is_a_502() -> None:
    dead = f"http://{HOST}:{free_port()}"
    async with service() as old, console({"old": old.url, "new": dead}) as page, _client(page.url) as client:
        await _choose(client)
        assert (await client.get("/shadow/things")).status_code == 200
        assert (await _state(client, "failed", 1))["compared"] == {}
        await client.post("/shadowing", json={"primary": "new", "secondary": "old"})
        assert (await client.get("/shadow/things")).status_code == 502


async def test_nothing_is_shadowed_before_two_different_backends_are_chosen() -> None:
    async with service() as old, console({"old": old.url}) as page, _client(page.url) as client:
        assert (await client.get("/shadow/things")).status_code == 503
        for pair in ({"primary": "old", "secondary": "old"}, {"primary": "old", "secondary": "nosuch"}):
            assert (await client.post("/shadowing", json=pair)).status_code == 422
