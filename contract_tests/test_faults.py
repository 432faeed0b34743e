"""The database goes away or hangs, the pool is full, clients hang up: what requests get, and what is left
afterwards (OPS-1, OPS-5)."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from api import Api
from builders import make_user, new_user, unique_word
from expectations import expect_problem, expect_user
from promptness import expect_prompt
from talkers import connected
from targets import Target

from assay.stand import Database, RunningService, Stand
from assay.stand.relay import Relay, open_relay

DB_TIMEOUT: Final = 5.0
POOL_TIMEOUT: Final = 2.0
SMALL_POOL: Final = 3
AGAIN: Final = 1.0
"""Seconds in which a service answers once its database takes connections."""

SLACK: Final = 0.7
"""Seconds that a busy machine may add to any bound."""

CANCELLED: Final = 300


@asynccontextmanager
async def behind_a_relay(stand: Stand, target: Target, **settings: str) -> AsyncIterator[tuple[Api, Relay]]:
    """A process of the backend with a small pool, and the wire to its database."""
    assert target.service is not None
    [(variable, url)] = stand.databases.url_for(target.service).items()
    async with open_relay(url) as relay:
        environment = {variable: relay.url, "POOL_SIZE": str(SMALL_POOL), **settings}
        running = await stand.start_service(target.service, name="relayed", environment=environment)
        try:
            async with Api(target.name, running.url) as api:
                yield api, relay
        finally:
            relay.thaw()
            await running.stop()


async def answers_again(api: Api) -> float:
    """Seconds until a read and a write succeed."""
    started = time.monotonic()
    async with asyncio.timeout(20):
        while (await api.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)
        while (await api.post("/users", json=new_user())).status_code != 201:
            await asyncio.sleep(0.02)
    return time.monotonic() - started


@pytest.mark.clause("OPS-5", "OPS-1")
async def test_while_the_database_hangs_every_request_ends_in_time_and_then_all_is_well(
    own_stand: Stand, target: Target
) -> None:
    async with behind_a_relay(own_stand, target) as (api, relay):
        user = await make_user(api)

        async def ask(method: str, path: str) -> float:
            body = {"json": new_user()} if method == "POST" else {}
            started = time.monotonic()
            answer = await api.request(method, path, **body)
            assert answer.status_code in (503, 504), answer.text
            return time.monotonic() - started

        async def hang() -> tuple[float, float]:
            relay.freeze()
            reads = [ask("GET", f"/users/{user['id']}") for _ in range(2 * SMALL_POOL)]
            writes = [ask("POST", "/users") for _ in range(SMALL_POOL)]
            seconds = await asyncio.gather(*reads, *writes)
            expect_problem(await api.get("/readyz"), 503, "overloaded")
            assert (await api.get("/livez")).status_code == 200
            relay.thaw()
            return max(seconds), await answers_again(api)

        await expect_prompt(hang, DB_TIMEOUT + SLACK, AGAIN + SLACK)
        expect_user(await api.get(f"/users/{user['id']}"), 200)


@pytest.mark.clause("OPS-5")
async def test_whoever_finds_no_free_connection_is_told_to_come_again(
    own_stand: Stand, target: Target
) -> None:
    # nobody is given up while the pool is waited for
    async with behind_a_relay(own_stand, target, DB_TIMEOUT="20") as (api, relay):
        user = await make_user(api)

        async def wait() -> tuple[float]:
            relay.freeze()
            held = [asyncio.create_task(api.get(f"/users/{user['id']}")) for _ in range(SMALL_POOL)]
            await asyncio.sleep(0.1)
            started = time.monotonic()
            refused = await api.get(f"/users/{user['id']}")
            waited = time.monotonic() - started
            relay.thaw()
            expect_problem(refused, 503, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
            assert waited > POOL_TIMEOUT - 0.1
            for answer in await asyncio.gather(*held):
                assert answer.status_code in (200, 503, 504)
            return (waited,)

        await expect_prompt(wait, POOL_TIMEOUT + SLACK)


@pytest.mark.clause("OPS-5", "GEN-4")
async def test_connections_that_are_cut_in_the_middle_make_no_500(own_stand: Stand, target: Target) -> None:
    async with behind_a_relay(own_stand, target) as (api, relay):

        async def cut_often() -> tuple[float]:
            for _ in range(10):
                requests = [api.post("/users", json=new_user()) for _ in range(2 * SMALL_POOL)]
                running = asyncio.gather(*requests)
                await asyncio.sleep(random.uniform(0, 0.02))
                relay.cut()
                for answer in await running:
                    assert answer.status_code in (201, 503, 504), answer.text
            return (await answers_again(api),)

        await expect_prompt(cut_often, AGAIN + SLACK)


@pytest.mark.clause("OPS-5")
async def test_a_killed_database_is_a_503_until_it_is_back_and_no_restart_is_needed(
    mortal: Database, own_stand: Stand, target: Target
) -> None:
    assert target.service is not None
    running: RunningService = own_stand.services[target.service.name]
    async with Api(target.name, running.url) as api:
        user = await make_user(api)

        async def die() -> tuple[float, float]:
            await mortal.kill()
            seconds = list[float]()
            for _ in range(5):
                started = time.monotonic()
                expect_problem(await api.get(f"/users/{user['id']}"), 503, "overloaded")
                seconds.append(time.monotonic() - started)
            await mortal.start()
            return max(seconds), await answers_again(api)

        await expect_prompt(die, DB_TIMEOUT + SLACK, AGAIN + SLACK)
        expect_user(await api.get(f"/users/{user['id']}"), 200)


@pytest.mark.clause("OPS-5")
async def test_clients_that_hang_up_cost_no_connection(own_stand: Stand, target: Target) -> None:
    async with behind_a_relay(own_stand, target) as (api, _):
        owner = await make_user(api)
        paths = [f"/users/{owner['id']}", "/dashboard", "/users?limit=200", f"/users/{owner['id']}/summary"]

        async def hang_up() -> tuple[float]:
            for _ in range(CANCELLED // 30):
                hasty = [
                    asyncio.create_task(api.post("/users", json=new_user()))
                    if number % 3 == 0
                    else asyncio.create_task(api.get(paths[number % len(paths)]))
                    for number in range(30)
                ]
                for request in hasty:
                    asyncio.get_running_loop().call_later(random.uniform(0, 0.03), request.cancel)
                await asyncio.wait(hasty)
            started = time.monotonic()
            answers = await asyncio.gather(*(api.get(f"/users/{owner['id']}") for _ in range(4 * SMALL_POOL)))
            assert {answer.status_code for answer in answers} == {200}
            return (time.monotonic() - started,)

        await expect_prompt(hang_up, AGAIN + SLACK)


@pytest.mark.clause("WS-1", "WS-3", "OPS-5")
async def test_who_speaks_while_the_database_hangs_is_told_so_and_stays_connected(
    own_stand: Stand, target: Target
) -> None:
    room = unique_word("room")
    async with behind_a_relay(own_stand, target) as (api, relay), connected(api) as talker:
        await talker.join(room)
        relay.freeze()
        await talker.say(type="message", room=room, text="lost")
        error = await talker.next(seconds=4 * DB_TIMEOUT)
        assert (error["type"], error["code"]) == ("error", "unavailable")
        await talker.say(type="ping")
        assert (await talker.next())["type"] == "pong"
        relay.thaw()
        await answers_again(api)
        other = unique_word("room")
        await talker.join(other)
        await talker.say(type="message", room=other, text="heard")
        while (await talker.next("message"))["room"] != other:
            pass
