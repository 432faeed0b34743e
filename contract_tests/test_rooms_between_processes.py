"""Rooms that span two processes of one backend; slow and unknown clients (WS-2, WS-3, WS-5)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import jwt
import pytest
from builders import unique_word
from expectations import Json
from promptness import expect_prompt
from talkers import Talker, connected, open_socket
from targets import Target
from websockets.exceptions import ConnectionClosed

from assay.stand import RunningService, Stand

LEASE: Final = 2.5
"""Seconds; a process that is late by as much on a busy machine would lose clients that it has."""
SECRET: Final = "a secret of more than thirty-two bytes"

Pair = tuple[RunningService, RunningService]


@pytest.fixture(scope="module")
async def pair(target: Target, second_stand: Stand | None) -> AsyncIterator[Pair]:
    """Two processes of the backend on one database."""
    if second_stand is None or target.service is None:
        pytest.skip("what runs behind a URL cannot be started a second time")
    environment = {"CLIENT_LEASE": str(LEASE)}
    one = await second_stand.start_service(target.service, name="room-one", environment=environment)
    two = await second_stand.start_service(target.service, name="room-two", environment=environment)
    yield one, two
    await one.stop()
    await two.stop()


@pytest.mark.clause("WS-5", "WS-3")
async def test_members_at_two_processes_hear_the_same(pair: Pair) -> None:
    room, count = unique_word("room"), 20
    async with connected(pair[0].url) as one, connected(pair[1].url) as two:
        await one.join(room)
        await two.join(room)
        assert (await one.next("joined"))["client_id"] == two.id
        async with asyncio.TaskGroup() as speaking:
            for number in range(count):
                for talker in (one, two):
                    speaking.create_task(talker.say(type="message", room=room, text=str(number)))
        heard = await one.until("message", 2 * count)
        assert await two.until("message", 2 * count) == heard
        assert [frame["seq"] for frame in heard] == list(range(1, 2 * count + 1))
        await two.say(type="leave", room=room)
        assert (await one.next("left"))["client_id"] == two.id


@pytest.mark.clause("WS-5", "WS-3")
async def test_a_message_larger_than_the_bus_takes_arrives_in_its_order(pair: Pair) -> None:
    room, long = unique_word("room"), "\U0001f600" * 4_000
    async with connected(pair[0].url) as one, connected(pair[1].url) as two:
        await one.join(room)
        await two.join(room)
        for text in ("before", long, "after"):
            await one.say(type="message", room=room, text=text)
        assert [frame["text"] for frame in await two.until("message", 3)] == ["before", long, "after"]


@pytest.mark.clause("WS-5", "WS-3")
async def test_a_direct_message_finds_its_client_at_another_process(pair: Pair) -> None:
    async with connected(pair[0].url) as one, connected(pair[1].url) as two:
        for number in range(3):
            await one.say(type="direct", to=two.id, text=str(number))
        assert [frame["text"] for frame in await two.until("direct", 3)] == ["0", "1", "2"]


@pytest.mark.clause("WS-5")
async def test_a_client_that_does_not_read_is_closed_with_1013_and_slows_nobody(pair: Pair) -> None:
    async def overflow() -> tuple[float]:
        room, filler = unique_word("room"), "x" * 60_000
        async with connected(pair[0].url) as other, connected(pair[0].url, compression=None) as slow:
            await other.join(room)
            await slow.join(room)
            await other.next("joined")
            slow.socket.transport.pause_reading()
            flood = asyncio.create_task(talk_on(slow, filler, 1_000))
            heard: list[Json] = []
            longest = 0.0
            while not any(frame["type"] == "left" for frame in heard):
                started = time.monotonic()
                await other.say(type="message", room=room, text="on time")
                heard += await other.up_to("message")
                longest = max(longest, time.monotonic() - started)
            [left] = [frame for frame in heard if frame["type"] == "left"]
            assert left["client_id"] == slow.id
            slow.socket.transport.resume_reading()
            assert await slow.closed() == 1013
            flood.cancel()
        return (longest,)

    await expect_prompt(overflow, 1)


async def talk_on(talker: Talker, filler: str, count: int) -> None:
    """Asks for more and more, as long as the service takes it."""
    with suppress(ConnectionClosed):
        for _ in range(count):
            await talker.say(type="echo", data=filler)


@pytest.mark.clause("WS-3")
async def test_the_clients_of_a_killed_process_leave_their_rooms(
    pair: Pair, target: Target, second_stand: Stand
) -> None:
    assert target.service is not None
    room = unique_word("room")
    environment = {"CLIENT_LEASE": str(LEASE)}
    doomed = await second_stand.start_service(target.service, name="doomed", environment=environment)
    async with connected(pair[0].url) as one:
        await one.join(room)
        async with connected(doomed.url) as two:
            await two.join(room)
            await one.next("joined")
            await doomed.child.kill(0)
            assert (await one.next("left", seconds=8 * LEASE))["client_id"] == two.id
            await one.say(type="direct", to=two.id, text="gone?")
            await one.error("unknown-client")


def token(scope: str = "read write", **claims: object) -> str:
    body = {"sub": "ada", "exp": int(time.time()) + 60, "scope": scope, **claims}
    return jwt.encode(body, SECRET, algorithm="HS256")


UNSIGNED: Final = jwt.encode({"sub": "ada", "exp": 2**40, "scope": "read"}, None, algorithm="none")


@pytest.fixture(scope="module")
async def guarded(target: Target, second_stand: Stand | None) -> AsyncIterator[RunningService]:
    """A process that wants access tokens."""
    if second_stand is None or target.service is None:
        pytest.skip("what runs behind a URL has its own secret")
    running = await second_stand.start_service(
        target.service, name="guarded-rooms", environment={"AUTH_SECRET": SECRET}
    )
    yield running
    await running.stop()


@pytest.mark.clause("WS-2")
async def test_a_token_is_taken_from_the_header_the_query_or_the_subprotocols(
    guarded: RunningService,
) -> None:
    ways = (
        {"additional_headers": {"Authorization": f"Bearer {token()}"}},
        {"query": f"?token={token()}"},
        {"subprotocols": ["bearer", token()]},
    )
    for way in ways:
        async with connected(guarded.url, **way) as talker:
            assert talker.name == "ada"


@pytest.mark.clause("WS-2", "SEC-1")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"query": "?token=nonsense"},
        {"query": f"?token={token(exp=1)}"},
        {"query": f"?token={token(scope='write')}"},
        {"query": f"?token={UNSIGNED}"},
        {"subprotocols": ["bearer"]},
        {"subprotocols": [token()]},
    ],
    ids=["none", "nonsense", "expired", "not for reading", "unsigned", "no token", "no bearer"],
)
async def test_without_a_good_token_the_connection_is_closed_with_1008(
    guarded: RunningService, options: dict[str, Any]
) -> None:
    async with open_socket(guarded.url, **options) as socket:
        async with asyncio.timeout(20):
            await socket.wait_closed()
        assert socket.close_code == 1008


@pytest.mark.clause("WS-2", "SEC-1")
async def test_who_may_only_read_may_listen_and_not_speak(guarded: RunningService) -> None:
    room = unique_word("room")
    async with connected(guarded.url, query=f"?token={token('read')}") as talker:
        await talker.join(room)
        await talker.say(type="message", room=room, text="t")
        await talker.error("forbidden")
