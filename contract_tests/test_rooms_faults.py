"""Rooms while the database hangs: who arrives, and who is away for longer than a lease (WS-5, OPS-5)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

import pytest
from builders import unique_word
from promptness import expect_prompt
from talkers import connected, open_socket
from targets import Target

from assay.stand import RunningService, Stand
from assay.stand.relay import Relay, open_relay

DB_TIMEOUT: Final = 5.0
SLACK: Final = 0.7
"""Seconds that a busy machine may add to any bound."""
LEASE: Final = 2.5
ARRIVING: Final = 12


class Relayed(NamedTuple):
    process: RunningService
    relay: Relay


@pytest.fixture
async def relayed(own_stand: Stand, target: Target) -> AsyncIterator[Relayed]:
    """One more process of the backend, and the wire to its database."""
    assert target.service is not None
    [(variable, url)] = own_stand.databases.url_for(target.service).items()
    async with open_relay(url) as relay:
        environment = {variable: relay.url, "CLIENT_LEASE": str(LEASE)}
        process = await own_stand.start_service(target.service, name="rooms-relayed", environment=environment)
        yield Relayed(process, relay)
        relay.thaw()
        await process.stop()


@pytest.mark.clause("OPS-5", "WS-5")
@pytest.mark.parametrize("present", [0, 1], ids=["nobody is there", "somebody is there"])
async def test_all_who_arrive_while_the_database_hangs_are_told_so_in_time(
    relayed: Relayed, present: int
) -> None:
    async def arrive() -> float:
        started = time.monotonic()
        async with open_socket(relayed.process.url) as socket:
            async with asyncio.timeout(10 * DB_TIMEOUT):
                await socket.wait_closed()
            assert socket.close_code == 1013
        return time.monotonic() - started

    async def all_arrive() -> tuple[float]:
        async with AsyncExitStack() as stack:
            for _ in range(present):
                await stack.enter_async_context(connected(relayed.process.url))
            relayed.relay.freeze()
            seconds = await asyncio.gather(*(arrive() for _ in range(ARRIVING)))
            # the feed knows by now: who comes later waits no longer
            seconds.append(await arrive())
            relayed.relay.thaw()
        return (max(seconds),)

    await expect_prompt(all_arrive, DB_TIMEOUT + SLACK)
    assert "the change feed is cut off" in relayed.process.log.read_text()


@pytest.mark.clause("WS-3", "WS-5", "OPS-5")
async def test_who_was_taken_for_gone_is_told_to_connect_again(
    relayed: Relayed, own_stand: Stand, target: Target
) -> None:
    assert target.service is not None
    near = await own_stand.start_service(
        target.service, name="rooms-near", environment={"CLIENT_LEASE": str(LEASE)}
    )
    room = unique_word("room")
    async with connected(near.url) as one:
        await one.join(room)
        async with connected(relayed.process.url) as cut_off:
            await cut_off.join(room)
            await one.next("joined")
            relayed.relay.freeze()
            assert (await one.next("left", seconds=8 * LEASE))["client_id"] == cut_off.id
            relayed.relay.thaw()
            assert await cut_off.closed(seconds=4 * DB_TIMEOUT) == 1013
        async with connected(relayed.process.url) as again:
            await again.join(room)
            await one.say(type="message", room=room, text="welcome back")
            assert (await again.next("message"))["text"] == "welcome back"
        assert (await one.next("left"))["client_id"] == again.id
    await near.stop()
